//! Package registries by the package manager that takes from them, and where their packages are kept. The table of
//! programs and the policy's `@registries` name hosts by these, so that each stands here alone.

/// A host by its labels.
macro_rules! host {
    ($first:literal $(, $label:literal)*) => {
        concat!($first $(, ".", $label)*)
    };
}

/// Groups of hosts by the name that the table writes with an `@`.
pub const REGISTRIES: &[(&str, &[&str])] = &[
    (
        "crates",
        &[
            host!("index", "crates", "io"),
            host!("static", "crates", "io"),
        ],
    ),
    ("crates-site", &[host!("crates", "io")]),
    ("rust", &[host!("static", "rust-lang", "org")]),
    ("npm", &[host!("registry", "npmjs", "org")]),
    ("yarn", &[host!("registry", "yarnpkg", "com")]),
    ("yarn-site", &[host!("repo", "yarnpkg", "com")]),
    ("jsr", &[host!("jsr", "io")]),
    ("jsr-npm", &[host!("npm", "jsr", "io")]),
    ("node", &[host!("nodejs", "org")]),
    (
        "pypi",
        &[host!("pypi", "org"), host!("files", "pythonhosted", "org")],
    ),
    ("pypi-test", &[host!("test", "pypi", "org")]),
    (
        "conda",
        &[
            host!("repo", "anaconda", "com"),
            host!("conda", "anaconda", "org"),
        ],
    ),
    (
        "go",
        &[
            host!("proxy", "golang", "org"),
            host!("sum", "golang", "org"),
        ],
    ),
    (
        "gems",
        &[host!("rubygems", "org"), host!("index", "rubygems", "org")],
    ),
    (
        "maven",
        &[
            host!("repo", "maven", "apache", "org"),
            host!("repo1", "maven", "org"),
        ],
    ),
    (
        "gradle",
        &[
            host!("plugins", "gradle", "org"),
            host!("services", "gradle", "org"),
        ],
    ),
    ("nuget", &[host!("api", "nuget", "org")]),
    (
        "packagist",
        &[host!("packagist", "org"), host!("repo", "packagist", "org")],
    ),
    ("hex", &[host!("hex", "pm")]),
];

/// The hosts of a group.
#[must_use]
pub fn group(name: &str) -> Option<&'static [&'static str]> {
    let mut groups = REGISTRIES.iter();
    groups.find_map(|(group, hosts)| (*group == name).then_some(*hosts))
}

/// The group that a host belongs to.
#[must_use]
pub fn group_of(host: &str) -> Option<&'static str> {
    let mut groups = REGISTRIES.iter();
    groups.find_map(|(group, hosts)| hosts.contains(&host).then_some(*group))
}

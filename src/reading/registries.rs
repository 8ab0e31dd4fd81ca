//! Package registries by the package manager that takes from them, and where their packages are kept. The table of
//! programs and the policy's `@registries` name hosts by these, so that each stands here alone.

/// Groups of hosts by the name that the table writes with an `@`.
pub const REGISTRIES: &[(&str, &[&str])] = &[
    ("crates", &["index.crates.io", "static.crates.io"]),
    ("crates-site", &["crates.io"]),
    ("rust", &["static.rust-lang.org"]),
    ("npm", &["registry.npmjs.org"]),
    ("yarn", &["registry.yarnpkg.com"]),
    ("yarn-site", &["repo.yarnpkg.com"]),
    ("jsr", &["jsr.io"]),
    ("jsr-npm", &["npm.jsr.io"]),
    ("node", &["nodejs.org"]),
    ("pypi", &["pypi.org", "files.pythonhosted.org"]),
    ("pypi-test", &["test.pypi.org"]),
    ("conda", &["repo.anaconda.com", "conda.anaconda.org"]),
    ("go", &["proxy.golang.org", "sum.golang.org"]),
    ("gems", &["rubygems.org", "index.rubygems.org"]),
    ("maven", &["repo.maven.apache.org", "repo1.maven.org"]),
    ("gradle", &["plugins.gradle.org", "services.gradle.org"]),
    ("nuget", &["api.nuget.org"]),
    ("packagist", &["packagist.org", "repo.packagist.org"]),
    ("hex", &["hex.pm"]),
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

//! Git's configuration files, read without git: sections, keys, values, as `git-config(1)` has them.

/// Entries of one file that are read; real ones have some dozens.
const ENTRIES: usize = 10_000;

/// One line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Section and key in lower case, the subsection as it is: `remote`, `origin`, `url`.
    pub(super) section: String,
    /// Empty where there is none.
    pub(super) subsection: String,
    /// In lower case.
    pub(super) key: String,
    /// `None` of a key without `=`, which stands for true.
    pub(super) value: Option<String>,
}

/// The entries of a file, in its order; `None` where git would refuse it.
#[must_use]
pub(super) fn entries(text: &str) -> Option<Vec<Entry>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = Chars(text.chars().peekable());
    let mut entries = Vec::new();
    let mut section: Option<(String, String)> = None;
    loop {
        match rest.0.peek() {
            None => return Some(entries),
            Some(c) if c.is_whitespace() => drop(rest.0.next()),
            Some('#' | ';') => rest.comment(),
            Some('[') => {
                rest.0.next();
                section = Some(rest.section()?);
            }
            Some(c) if c.is_ascii_alphabetic() => {
                let (section, subsection) = section.clone()?;
                let key = rest.name();
                let value = rest.value()?;
                if entries.len() == ENTRIES {
                    return None;
                }
                entries.push(Entry {
                    section,
                    subsection,
                    key,
                    value,
                });
            }
            Some(_) => return None,
        }
    }
}

struct Chars<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Chars<'_> {
    fn comment(&mut self) {
        while self.0.next_if(|c| *c != '\n').is_some() {}
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.0.next_if(|c| c.is_ascii_alphanumeric() || *c == '-') {
            name.push(c.to_ascii_lowercase());
        }
        name
    }

    /// Behind `[`: `section]`, `section "sub"]`, `section.sub]`.
    fn section(&mut self) -> Option<(String, String)> {
        let mut name = String::new();
        while let Some(c) = self
            .0
            .next_if(|c| c.is_ascii_alphanumeric() || "-.".contains(*c))
        {
            name.push(c.to_ascii_lowercase());
        }
        if name.is_empty() {
            return None;
        }
        if self.0.next_if_eq(&']').is_some() {
            // The old form, whose subsection is in lower case.
            let (section, subsection) = name.split_once('.').unwrap_or((&name, ""));
            return Some((section.to_owned(), subsection.to_owned()));
        }
        while self
            .0
            .next_if(|c| *c != '\n' && c.is_whitespace())
            .is_some()
        {}
        self.0.next_if_eq(&'"')?;
        let mut subsection = String::new();
        loop {
            match self.0.next()? {
                '\n' => return None,
                '"' => break,
                '\\' => match self.0.next()? {
                    '\n' => return None,
                    c => subsection.push(c),
                },
                c => subsection.push(c),
            }
        }
        self.0.next_if_eq(&']')?;
        Some((name, subsection))
    }

    /// Behind a key.
    fn value(&mut self) -> Option<Option<String>> {
        while self.0.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match self.0.peek() {
            None => return Some(None),
            Some('\n' | '\r' | '#' | ';') => return Some(None),
            Some('=') => drop(self.0.next()),
            Some(_) => return None,
        }
        let (mut value, mut quoted, mut kept) = (String::new(), false, 0);
        loop {
            match self.0.next() {
                None | Some('\n') if quoted => return None,
                None | Some('\n') => break,
                Some('#' | ';') if !quoted => {
                    self.comment();
                }
                Some('"') => {
                    quoted = !quoted;
                    kept = value.len();
                }
                Some('\\') => {
                    match self.0.next() {
                        None => return None,
                        Some('\n') => continue,
                        Some('\r') if self.0.next_if_eq(&'\n').is_some() => continue,
                        Some('n') => value.push('\n'),
                        Some('t') => value.push('\t'),
                        Some('b') => value.push('\u{8}'),
                        Some(c @ ('"' | '\\')) => value.push(c),
                        Some(_) => return None,
                    }
                    kept = value.len();
                }
                Some('\r') if self.0.peek() == Some(&'\n') => {}
                Some(c) if c.is_whitespace() && !quoted => {
                    if !value.is_empty() {
                        value.push(c);
                    }
                }
                Some(c) => {
                    value.push(c);
                    kept = value.len();
                }
            }
        }
        value.truncate(kept);
        Some(Some(value))
    }
}

/// Whether git takes an entry for a program, or for more configuration that names some.
#[must_use]
pub(super) fn names_program(entry: &Entry) -> bool {
    let value = entry.value.as_deref().unwrap_or("");
    if value.is_empty() {
        return false;
    }
    match (entry.section.as_str(), entry.key.as_str()) {
        ("core", "fsmonitor") => {
            let lower = value.to_ascii_lowercase();
            !["true", "false", "yes", "no", "on", "off", "1", "0"].contains(&lower.as_str())
        }
        (
            "core",
            "hookspath"
            | "editor"
            | "pager"
            | "sshcommand"
            | "askpass"
            | "gitproxy"
            | "alternaterefscommand"
            | "attributesfile",
        )
        | ("credential", "helper")
        | ("diff", "external" | "command" | "textconv")
        | ("filter", "clean" | "smudge" | "process")
        | ("merge", "driver")
        | ("mergetool" | "difftool" | "man" | "browser" | "web" | "guitool", "cmd" | "path")
        | ("gpg", "program" | "defaultkeycommand")
        | ("sequence", "editor")
        | ("interactive", "difffilter")
        | ("uploadpack", "packobjectshook")
        | ("remote", "uploadpack" | "receivepack" | "vcs" | "proxy")
        | ("init", "templatedir")
        | ("trailer", "command" | "cmd")
        | (
            "sendemail",
            "sendmailcmd" | "tocmd" | "cccmd" | "headercmd" | "smtpserver" | "aliasesfile",
        )
        | ("hook", "command")
        | ("instaweb", "httpd" | "browser")
        | ("ssh", "variant")
        | ("extensions", "partialclone")
        | ("imap", "tunnel") => true,
        ("pager", _) => !["true", "false"].contains(&value.to_ascii_lowercase().as_str()),
        ("submodule", "update") => value.starts_with('!'),
        ("remote", "url" | "pushurl") => value.starts_with("ext::"),
        ("url", "insteadof" | "pushinsteadof") => entry.subsection.starts_with("ext::"),
        ("protocol", "allow") => entry.subsection == "ext" && value != "never",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<String>> {
        let entries = entries(text)?.into_iter();
        Some(
            entries
                .map(|entry| {
                    let Entry {
                        section,
                        subsection,
                        key,
                        value,
                    } = entry;
                    format!(
                        "{section}|{subsection}|{key}|{}",
                        value.as_deref().unwrap_or("-")
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn a_file_is_read_as_git_reads_it() {
        for (text, expected) in [
            ("", &[][..]),
            ("[core]\n\tbare = false\n", &["core||bare|false"]),
            ("[Core]Bare=1", &["core||bare|1"]),
            ("[core]\nbare", &["core||bare|-"]),
            (
                "[remote \"My \\\"x\\\\\"]\nurl = a b  ; c\n",
                &["remote|My \"x\\|url|a b"],
            ),
            ("[Remote.Origin] url=x # c", &["remote|origin|url|x"]),
            ("[a]\nx = \" b # c \" d\n", &["a||x| b # c  d"]),
            ("[a]\nx = b\\\n  c\ny=d", &["a||x|b  c", "a||y|d"]),
            ("[a]\nx = b\\n\\t\\\"\\\\", &["a||x|b\n\t\"\\"]),
            ("[a]\r\nx = b\r\n", &["a||x|b"]),
            ("# c\n; d\n[a] ; e\nx-y = 1\n", &["a||x-y|1"]),
            ("[a]\nx =\n", &["a||x|"]),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text:?}");
        }
        for text in [
            "x = 1",
            "[a",
            "[a \"b]\n",
            "[]\n",
            "[a]\nx = \"b\n",
            "[a]\nx = \\q",
            "[a]\n-x=1",
            "[a]\nx y = 1",
            "[a \"b\"x]\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn keys_that_name_a_program_are_known() {
        for (text, expected) in [
            ("[core]\nfsmonitor=./x", true),
            ("[core]\nfsmonitor=true", false),
            ("[core]\nhooksPath=h", true),
            ("[core]\nsshCommand=x", true),
            ("[core]\neditor=x", true),
            ("[core]\nbare=true", false),
            ("[diff \"x\"]\ntextconv=x", true),
            ("[filter \"x\"]\nclean=x", true),
            ("[credential \"https://a\"]\nhelper=x", true),
            ("[credential]\nhelper=", false),
            ("[pager]\nlog=x", true),
            ("[pager]\nlog=false", false),
            ("[remote \"o\"]\nurl=ext::sh -c x", true),
            ("[remote \"o\"]\nurl=https://a/b", false),
            ("[submodule \"x\"]\nupdate=!x", true),
            ("[submodule \"x\"]\nupdate=rebase", false),
            ("[user]\nname=x", false),
            ("[alias]\nx=!y", false),
        ] {
            let entries = entries(text).unwrap();
            assert_eq!(names_program(&entries[0]), expected, "{text}");
        }
    }
}

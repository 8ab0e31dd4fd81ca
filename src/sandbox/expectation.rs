//! What must come of what was tried from inside. Each sandbox has a table of expectations: they are judged
//! here, and the journal has what was seen in the form that is made here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::contracts::sandbox::SandboxError;
use crate::jail::isolation_probe::{Ask, Sighting};

use super::attestation::Unfit;

/// One thing that was tried, and what must come of it.
pub(super) struct Expectation<'a> {
    /// What came of it.
    pub(super) seen: Vec<String>,
    /// What must.
    pub(super) must: Must<'a>,
    /// How it is told that something else did; `{}` stands for the first difference.
    pub(super) told: Cow<'static, str>,
}

/// What must come of something that was tried.
pub(super) enum Must<'a> {
    /// Nothing.
    BeNone,
    /// Nothing but what this says yes to.
    BeAmong(Box<dyn Fn(&str) -> bool + 'a>),
    /// All of these, whatever else.
    Have(Vec<String>),
}

/// What was seen is not what must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Difference> for SandboxError {
    fn from(difference: Difference) -> Self {
        Self(difference.0)
    }
}

impl From<Difference> for Unfit {
    fn from(difference: Difference) -> Self {
        Self::Leaky(difference.0)
    }
}

/// Holds what was seen against what must be.
///
/// # Errors
/// The first difference.
pub(super) fn judge<'a>(
    table: impl IntoIterator<Item = Expectation<'a>>,
) -> Result<(), Difference> {
    for Expectation { seen, must, told } in table {
        let difference = match &must {
            Must::BeNone => seen.first(),
            Must::BeAmong(fine) => seen.iter().find(|one| !fine(one)),
            Must::Have(wanted) => wanted.iter().find(|one| !seen.contains(one)),
        };
        if let Some(difference) = difference {
            return Err(Difference(told.replacen("{}", difference, 1)));
        }
    }
    Ok(())
}

/// What the journal has of a sandbox that holds: what was seen in all of them alike, and `particulars`.
pub(super) fn attested(
    inside: &Sighting,
    isolated: &[&str],
    shared: &[&str],
    particulars: Value,
) -> Map<String, Value> {
    let alike = json!({
        "status": inside.status,
        "uid": inside.uid,
        "namespaceIds": inside.namespaces,
        "letOut": inside.let_out,
        "reached": inside.reached,
        "writable": inside.written,
        "isolated": isolated,
        "notIsolated": shared,
        "vmGrade": false,
    });
    let both = [alike, particulars]
        .into_iter()
        .filter_map(|part| match part {
            Value::Object(part) => Some(part),
            _ => None,
        });
    both.flatten().collect()
}

/// Paths, as they are told.
pub(super) fn shown<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<String> {
    let paths = paths.into_iter();
    paths.map(|path| path.display().to_string()).collect()
}

/// The name of a socket in [`Sighting::reached`].
pub(super) fn unix(path: &Path) -> String {
    format!("unix {}", path.display())
}

/// Nothing may come of it.
pub(super) fn none(
    seen: impl IntoIterator<Item = String>,
    problem: impl Into<Cow<'static, str>>,
) -> Expectation<'static> {
    Expectation {
        seen: seen.into_iter().collect(),
        must: Must::BeNone,
        told: problem.into(),
    }
}

/// It may not be so.
pub(super) fn never(is_so: bool, problem: impl Into<Cow<'static, str>>) -> Expectation<'static> {
    none(is_so.then(String::new), problem)
}

/// Nothing may come of it but what `fine` says yes to.
pub(super) fn among<'a>(
    seen: impl IntoIterator<Item = String>,
    fine: impl Fn(&str) -> bool + 'a,
    problem: impl Into<Cow<'static, str>>,
) -> Expectation<'a> {
    Expectation {
        seen: seen.into_iter().collect(),
        must: Must::BeAmong(Box::new(fine)),
        told: problem.into(),
    }
}

/// All of these must come of it.
pub(super) fn all(
    seen: impl IntoIterator<Item = String>,
    wanted: impl IntoIterator<Item = String>,
    problem: impl Into<Cow<'static, str>>,
) -> Expectation<'static> {
    Expectation {
        seen: seen.into_iter().collect(),
        must: Must::Have(wanted.into_iter().collect()),
        told: problem.into(),
    }
}

/// A proof that something cannot be reached is worth something only if it can be reached from outside.
pub(super) fn reaches_outside(
    outside: &Sighting,
    names: impl IntoIterator<Item = String>,
) -> Expectation<'static> {
    let problem = "sandbox self-test inconclusive: {} is not reachable outside the sandbox either";
    all(outside.reached.iter().cloned(), names, problem)
}

/// From outside, every listener on the network must have been reached, whatever the probe says.
pub(super) fn arrives_outside(ask: &Ask, came: usize) -> Expectation<'static> {
    let problem =
        "sandbox self-test inconclusive: some test messages were lost outside the sandbox";
    never(came < ask.tcp.len() + ask.udp.len(), problem)
}

/// What must not be read inside is there outside: the first path stands for all.
pub(super) fn reads_outside(outside: &Sighting, ask: &Ask) -> Expectation<'static> {
    let problem = "sandbox self-test inconclusive: {} is not readable outside the sandbox either";
    all(shown(&outside.opened), shown(ask.read.first()), problem)
}

/// What may be spoken to inside.
pub(super) fn reaches_only<'a>(
    inside: &Sighting,
    fine: impl Fn(&str) -> bool + 'a,
) -> Expectation<'a> {
    let problem = "sandbox self-test failed: it could reach {}";
    among(inside.reached.iter().cloned(), fine, problem)
}

/// Whatever the probe says, nothing may arrive from inside.
pub(super) fn nothing_arrives(came: usize) -> Expectation<'static> {
    let problem = "sandbox self-test failed: it could reach agp's own listeners";
    never(came > 0, problem)
}

/// Where there is a way out it leads to the listed host, and to no other.
pub(super) fn way_out(ask: &Ask, inside: &Sighting) -> Vec<Expectation<'static>> {
    let Some(way_out) = &ask.way_out else {
        return Vec::new();
    };
    let (let_out, listed) = (|| inside.let_out.iter().cloned(), way_out.listed.clone());
    let unlisted = "egress self-test failed: an unlisted host was reachable: {}";
    let unreached = "egress self-test failed: an allowed host was not reachable";
    vec![
        among(let_out(), move |host| host == listed, unlisted),
        all(let_out(), [way_out.listed.clone()], unreached),
    ]
}

/// What may be read inside of all that was tried.
pub(super) fn reads_only<'a>(
    inside: &Sighting,
    fine: impl Fn(&Path) -> bool + 'a,
) -> Expectation<'a> {
    let fine = move |path: &str| fine(Path::new(path));
    among(
        shown(&inside.opened),
        fine,
        "sandbox self-test failed: it could read {}",
    )
}

/// What must be writable inside.
pub(super) fn writes<'a>(
    inside: &Sighting,
    paths: impl IntoIterator<Item = &'a PathBuf>,
    problem: impl Into<Cow<'static, str>>,
) -> Expectation<'static> {
    all(shown(&inside.written), shown(paths), problem)
}

/// What may be written inside of all that was tried.
pub(super) fn writes_only<'a>(
    inside: &Sighting,
    paths: impl IntoIterator<Item = &'a PathBuf>,
) -> Expectation<'static> {
    let paths: BTreeSet<String> = shown(paths).into_iter().collect();
    let problem = "sandbox self-test failed: it could write {}";
    among(
        shown(&inside.written),
        move |path| paths.contains(path),
        problem,
    )
}

/// What must stay what it is does, and the attempts to change it would have shown otherwise.
pub(super) fn unshaken(
    inside: &Sighting,
    replaced: &'static str,
    unshakable: &'static str,
) -> [Expectation<'static>; 2] {
    [
        none(inside.shaken.iter().cloned(), replaced),
        never(!inside.shakes, unshakable),
    ]
}

/// agp is signalled by nothing inside, where that can be kept from it.
pub(super) fn unsignalled(inside: &Sighting, kept: bool) -> Expectation<'static> {
    never(
        inside.signalled && kept,
        "sandbox self-test failed: it could signal agp",
    )
}

/// What the kernel says of a process inside.
pub(super) fn status(
    status: &BTreeMap<String, String>,
    wanted: &[(&str, &str)],
) -> Vec<Expectation<'static>> {
    let expected = wanted.iter().map(|(name, wanted)| {
        let problem = format!("sandbox self-test failed: {name} is not {{}}");
        all(status.get(*name).cloned(), [(*wanted).to_owned()], problem)
    });
    expected.collect()
}

/// Namespaces that must be other ones than outside.
pub(super) fn namespaces<'a>(
    kinds: impl IntoIterator<Item = &'a str>,
    outside: &Sighting,
    inside: &Sighting,
) -> Expectation<'static> {
    let shared = |kind: &&str| {
        let id = inside.namespaces.get(*kind);
        id.is_none() || id == outside.namespaces.get(*kind)
    };
    let shared = kinds.into_iter().filter(shared).map(str::to_owned);
    none(
        shared,
        "sandbox self-test failed: it shares the host's {} namespace",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told_and_what_is_as_it_must_be_is_not() {
        let seen = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let problem = "this: {}, not {}";
        let some = seen(&["a", "b"]);
        let sound = || {
            [
                none(seen(&[]), problem),
                never(false, problem),
                among(seen(&[]), |_| false, problem),
                among(some.clone(), |name| name < "c", problem),
                all(some.clone(), seen(&["b"]), problem),
                all(some.clone(), seen(&[]), problem),
            ]
        };
        assert_eq!(judge(sound()), Ok(()));
        let differences = [
            (none(some.clone(), problem), "this: a, not {}"),
            (never(true, "so"), "so"),
            (
                among(some.clone(), |name| name == "a", problem),
                "this: b, not {}",
            ),
            (
                all(some.clone(), seen(&["b", "c"]), problem),
                "this: c, not {}",
            ),
            (all(seen(&[]), seen(&["a"]), problem), "this: a, not {}"),
        ];
        for (difference, why) in differences {
            // Wherever in the table it stands.
            let table = sound().into_iter().chain([difference]).chain(sound());
            assert_eq!(judge(table), Err(Difference(why.to_owned())));
        }
    }

    #[test]
    fn a_namespace_that_cannot_be_named_is_taken_for_the_hosts() {
        let sighting = |id: Option<&str>| Sighting {
            namespaces: id
                .map(|id| ("pid".to_owned(), id.to_owned()))
                .into_iter()
                .collect(),
            ..Sighting::default()
        };
        let judged = |outside, inside| {
            judge([namespaces(["pid"], &sighting(outside), &sighting(inside))]).is_ok()
        };
        assert!(judged(Some("1"), Some("2")));
        for (outside, inside) in [(Some("1"), Some("1")), (Some("1"), None), (None, None)] {
            assert!(!judged(outside, inside), "{outside:?} {inside:?}");
        }
    }
}

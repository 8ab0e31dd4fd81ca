//! What a rule about system calls is made of, and how many of them become one program for the
//! kernel: classic BPF over `struct seccomp_data`.

use nix::libc;
use seccompiler::{BpfProgram, sock_filter};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is made.
    Allow,
    /// It fails with this error, for those that ask before they do without.
    Refuse(i32),
}

/// A condition on one argument: its low 32 bits, of which those in `mask` must be one of `values`.
/// The kernel takes none of the arguments that are looked at for more than 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// Which argument, from 0.
    pub argument: u8,
    /// Its bits that count.
    pub mask: u32,
    /// What they may be.
    pub values: &'static [u32],
}

/// What happens when all conditions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The conditions.
    pub when: &'static [When],
    /// What happens.
    pub then: Then,
}

/// One system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BpfRule {
    /// Its number.
    pub call: i64,
    /// Its constant's name.
    pub constant: &'static str,
    /// The first case that holds counts; none is what the profile says of the calls that it does
    /// not name. Without cases the call is allowed whatever its arguments.
    pub cases: &'static [Case],
    /// Why it is needed.
    pub why: &'static str,
}

/// Every bit of an argument's low half.
pub(crate) const ALL_BITS: u32 = u32::MAX;

/// The bits of an argument that are in `mask` are one of these values.
pub(crate) const fn only(argument: u8, mask: u32, values: &'static [u32]) -> When {
    When {
        argument,
        mask,
        values,
    }
}

/// The call is made when all of this holds.
pub(crate) const fn allow(when: &'static [When]) -> Case {
    Case {
        when,
        then: Then::Allow,
    }
}

/// The call fails with this error when all of this holds.
pub(crate) const fn refuse(when: &'static [When], error: i32) -> Case {
    Case {
        when,
        then: Then::Refuse(error),
    }
}

impl BpfRule {
    /// A rule of a list that is shown to nobody.
    pub(crate) const fn of(call: i64, cases: &'static [Case]) -> Self {
        Self {
            call,
            constant: "",
            cases,
            why: "",
        }
    }

    /// The call's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.constant.strip_prefix("SYS_").unwrap_or(self.constant)
    }

    /// Whether it is allowed with this value as its first argument, with some others.
    #[must_use]
    pub fn allows_first(&self, value: u32) -> bool {
        let fits = |case: &Case| {
            let mut first = case.when.iter().filter(|when| when.argument == 0);
            first.all(|when| when.values.contains(&(value & when.mask)))
        };
        let decided = self.cases.iter().find(|case| fits(case));
        self.cases.is_empty() || decided.is_some_and(|case| case.then == Then::Allow)
    }

    /// Whether it is allowed at all.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|case| case.then == Then::Allow)
    }
}

/// `AUDIT_ARCH_*` of linux/audit.h.
pub(crate) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else {
    0xc000_00b7
};

/// What a tracer makes of a call that it takes away, to have it fail: none, and the kernel does
/// nothing.
const NO_CALL: u32 = u32::MAX;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

fn op(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// What a filter that is added to another has to take away: from whoever is under `under`, all that
/// `rules` do not allow in the same way.
#[must_use]
pub(super) fn narrowing(under: &[&BpfRule], rules: &[&BpfRule]) -> Vec<BpfRule> {
    // Nothing is one of no values.
    const DENIED: &[Case] = &[allow(&[only(0, ALL_BITS, &[])])];
    let mut narrower = Vec::new();
    for rule in under {
        match rules.iter().find(|narrow| narrow.call == rule.call) {
            Some(narrow) if narrow.cases == rule.cases => {}
            Some(narrow) => narrower.push(**narrow),
            None => narrower.push(BpfRule {
                cases: DENIED,
                ..**rule
            }),
        }
    }
    narrower
}

/// The program for these rules, in which a call that none of them names comes to `unnamed`, and one
/// all of whose cases fail to `otherwise`: `SECCOMP_RET_*`.
#[must_use]
pub(crate) fn program(rules: &[&BpfRule], unnamed: u32, otherwise: u32) -> BpfProgram {
    let mut spans: Vec<Span> = Vec::new();
    let mut sorted: Vec<(u32, &BpfRule)> = rules
        .iter()
        .filter_map(|rule| Some((u32::try_from(rule.call).ok()?, *rule)))
        .collect();
    sorted.sort_by_key(|(number, _)| *number);
    for (number, rule) in sorted {
        match spans.last_mut() {
            // Neighbours that are simply allowed are one comparison.
            Some(last) if rule.cases.is_empty() && last.plain && last.last + 1 == number => {
                last.last = number;
            }
            _ => spans.push(Span {
                first: number,
                last: number,
                plain: rule.cases.is_empty(),
                body: body(rule, otherwise),
            }),
        }
    }
    let mut program = vec![
        op(LOAD, 4, 0, 0),
        op(EQUAL, ARCHITECTURE, 1, 0),
        op(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        op(LOAD, 0, 0, 0),
        op(EQUAL, NO_CALL, 0, 1),
        op(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    program.extend(search(&spans, unnamed));
    program
}

struct Span {
    first: u32,
    last: u32,
    plain: bool,
    body: BpfProgram,
}

/// Halves the numbers until one span is left: the kernel tries a filter on every number when it is
/// installed, and a comparison for each call was measured to cost a millisecond.
fn search(spans: &[Span], unnamed: u32) -> BpfProgram {
    let (left, right) = spans.split_at(spans.len() / 2);
    let nothing = || op(RETURN, unnamed, 0, 0);
    match (left, right) {
        ([], [span]) => {
            let mut code = vec![
                op(AT_LEAST, span.first, 1, 0),
                nothing(),
                op(GREATER, span.last, 0, 1),
                nothing(),
            ];
            code.extend(span.body.iter().cloned());
            code
        }
        ([], _) => vec![nothing()],
        (_, [middle, ..]) => {
            let below = search(left, unnamed);
            let mut code = vec![op(AT_LEAST, middle.first, 0, 1), jump(below.len())];
            code.extend(below);
            code.extend(search(right, unnamed));
            code
        }
        (_, []) => vec![nothing()],
    }
}

fn jump(over: usize) -> sock_filter {
    op(JUMP, u32::try_from(over).unwrap_or(u32::MAX), 0, 0)
}

/// What is done about a call whose number fits.
fn body(rule: &BpfRule, otherwise: u32) -> BpfProgram {
    if rule.cases.is_empty() {
        return vec![op(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0)];
    }
    let mut code = Vec::new();
    for case in rule.cases {
        code.extend(of_case(case));
    }
    code.push(op(RETURN, otherwise, 0, 0));
    code
}

fn of_case(case: &Case) -> BpfProgram {
    let mut code = Vec::new();
    let mut failing = Vec::new();
    for when in case.when {
        // Little-endian on both architectures: the low half comes first.
        code.push(op(LOAD, 16 + 8 * u32::from(when.argument), 0, 0));
        if when.mask != ALL_BITS {
            code.push(op(AND, when.mask, 0, 0));
        }
        for (at, value) in when.values.iter().enumerate() {
            // Behind the comparisons that are left, and the jump of a failure.
            let over = u8::try_from(when.values.len() - at).unwrap_or(u8::MAX);
            code.push(op(EQUAL, *value, over, 0));
        }
        failing.push(code.len());
        code.push(jump(0));
    }
    let then = match case.then {
        Then::Allow => libc::SECCOMP_RET_ALLOW,
        Then::Refuse(error) => libc::SECCOMP_RET_ERRNO | error.unsigned_abs(),
    };
    code.push(op(RETURN, then, 0, 0));
    let end = code.len();
    for at in failing {
        if let Some(slot) = code.get_mut(at) {
            *slot = jump(end - at - 1);
        }
    }
    code
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

    /// What the kernel's interpreter does.
    pub(crate) fn verdict(
        program: &[sock_filter],
        arch: u32,
        number: u32,
        arguments: [u64; 6],
    ) -> u32 {
        let (mut at, mut held) = (0_usize, 0_u32);
        loop {
            let op = &program[at];
            let jump = |holds: bool| usize::from(if holds { op.jt } else { op.jf });
            at += 1;
            match op.code {
                LOAD => {
                    held = match op.k {
                        0 => number,
                        4 => arch,
                        offset => (arguments[(offset as usize - 16) / 8] & 0xffff_ffff) as u32,
                    }
                }
                AND => held &= op.k,
                JUMP => at += op.k as usize,
                EQUAL => at += jump(held == op.k),
                GREATER => at += jump(held > op.k),
                AT_LEAST => at += jump(held >= op.k),
                RETURN => return op.k,
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_program_does_what_its_rules_say_for_every_number() {
        const CASES: &[Case] = &[
            allow(&[only(0, ALL_BITS, &[2, 10]), only(1, 0xf, &[1, 2])]),
            refuse(&[only(0, ALL_BITS, &[1])], 13),
        ];
        let with_cases = BpfRule::of(41, CASES);
        let plain: Vec<BpfRule> = [0, 1, 2, 5, 7, 8, 100, 101, 103, 450]
            .map(|call| BpfRule::of(call, &[]))
            .into();
        let mut rules: Vec<&BpfRule> = plain.iter().collect();
        rules.push(&with_cases);
        for otherwise in [KILL, libc::SECCOMP_RET_ALLOW] {
            let program = program(&rules, otherwise, otherwise);
            for number in (0..600).chain([0x4000_0000, 0x4000_0029, u32::MAX - 1]) {
                let expected = if plain.iter().any(|rule| rule.call == i64::from(number)) {
                    libc::SECCOMP_RET_ALLOW
                } else {
                    otherwise
                };
                let got = verdict(&program, ARCHITECTURE, number, [0; 6]);
                assert_eq!(got, expected, "{number}");
                assert_eq!(verdict(&program, 0x4000_0003, number, [0; 6]), KILL);
            }
            let none = verdict(&program, ARCHITECTURE, NO_CALL, [0; 6]);
            assert_eq!(none, libc::SECCOMP_RET_ALLOW);
            let socket = |family: u64, kind: u64| {
                verdict(&program, ARCHITECTURE, 41, [family, kind, 0, 0, 0, 0])
            };
            for (family, kind, expected) in [
                (2, 1, libc::SECCOMP_RET_ALLOW),
                (2, 0x80001, libc::SECCOMP_RET_ALLOW),
                (10, 2, libc::SECCOMP_RET_ALLOW),
                (10, 3, otherwise),
                (1, 1, libc::SECCOMP_RET_ERRNO | 13),
                (16, 1, otherwise),
                // The kernel, too, looks at the low half alone.
                (0x1_0000_0002, 1, libc::SECCOMP_RET_ALLOW),
            ] {
                assert_eq!(socket(family, kind), expected, "{family} {kind}");
            }
        }
    }

    #[test]
    fn what_narrows_leaves_under_another_what_its_own_program_does() {
        use crate::confine::Profile;
        let allowed = libc::SECCOMP_RET_ALLOW;
        for profile in Profile::ALL {
            let Some(starter) = profile.terms().within else {
                continue;
            };
            let (terms, starter) = (profile.terms(), starter.terms());
            let rules: Vec<&BpfRule> = terms.rules().collect();
            let under: Vec<&BpfRule> = starter.rules().collect();
            let narrower = narrowing(&under, &rules);
            let narrower: Vec<&BpfRule> = narrower.iter().collect();
            let added = program(&narrower, allowed, KILL);
            let whole = program(&rules, KILL, KILL);
            let under = program(&under, KILL, KILL);
            // Of two filters the stricter counts, and a kill is stricter than an error.
            let strict = |a: u32, b: u32| if a == KILL || b == allowed { a } else { b };
            for number in 0..600 {
                for first in [0, 1, 2, 10, 15, 38, 0x003d_0f00, u64::MAX] {
                    for third in [0, 1, 0x40, 0x8_0000, u64::MAX] {
                        let arguments = [first, first, third, 0, 0, 0];
                        let comes = |program| verdict(program, ARCHITECTURE, number, arguments);
                        let both = strict(comes(&added), comes(&under));
                        let expected = strict(comes(&whole), comes(&under));
                        assert_eq!(both, expected, "{profile:?} {number} {first} {third}");
                    }
                }
            }
        }
    }

    /// Some calls are bounded by their arguments alone. What each bound is there to keep out is named here
    /// once more, apart from the table.
    #[test]
    fn no_call_that_a_thread_may_make_does_more_by_its_arguments() {
        use crate::confine::Profile;
        let thread = 0x003d_0f00;
        for profile in Profile::ALL {
            let terms = profile.terms();
            if terms.others {
                continue;
            }
            let rules: Vec<&BpfRule> = terms.rules().collect();
            let program = program(&rules, KILL, KILL);
            let may = |call: i64, arguments: [u64; 3]| {
                let [a, b, c] = arguments;
                let number = u32::try_from(call).unwrap();
                let comes = verdict(&program, ARCHITECTURE, number, [a, b, c, 0, 0, 0]);
                comes == libc::SECCOMP_RET_ALLOW
            };
            for (call, arguments, what) in [
                (libc::SYS_mmap, [0, 4096, 5], "executable memory"),
                (libc::SYS_mprotect, [0, 4096, 4], "executable memory"),
                (libc::SYS_ioctl, [0, 0x5412, 0], "keystrokes for a terminal"),
                (libc::SYS_fcntl, [0, 8, 0], "signals for another process"),
                (libc::SYS_clone, [17, 0, 0], "a process"),
                (libc::SYS_clone, [thread | 1 << 28, 0, 0], "a namespace"),
                (libc::SYS_clone3, [0, 0, 0], "what cannot be looked into"),
                (libc::SYS_prctl, [4, 1, 0], "memory that others may read"),
                (libc::SYS_seccomp, [1, 1, 0], "a filter for other threads"),
                (libc::SYS_socket, [2, 3, 0], "raw packets"),
                (libc::SYS_socket, [17, 3, 0], "raw packets"),
                (libc::SYS_socket, [16, 3, 9], "the kernel's audit"),
            ] {
                assert!(!may(call, arguments), "{profile:?}: {what}");
            }
            let writes = [Profile::Journal, Profile::SlackOutbox].contains(&profile);
            for flags in [1, 2, 0x40, 0x200, 0x41_0000] {
                assert_eq!(may(libc::SYS_openat, [0, 0, flags]), writes, "{profile:?}");
            }
            let unix = terms.sockets() == "unix";
            assert_eq!(may(libc::SYS_socket, [1, 1, 0]), unix, "{profile:?}");
            let network = terms.sockets() == "inet";
            assert_eq!(may(libc::SYS_socket, [2, 1, 0]), network, "{profile:?}");
        }
    }

    #[test]
    fn no_rules_are_a_program_too() {
        assert_eq!(
            verdict(&program(&[], KILL, KILL), ARCHITECTURE, 1, [0; 6]),
            KILL
        );
    }
}

//! Brace expansion, step by step as bash does it: it sees text, with quotes and expansions passed over.

use super::ast::Part;

/// A character of a word, or a part in which braces do not count.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Char(char),
    Part(Part),
}

/// Words as items.
type Words = Vec<Vec<Item>>;

/// What braces made of a word.
pub(super) enum Braces {
    /// There were none.
    None(Vec<Part>),
    /// These words.
    Some(Vec<Vec<Part>>),
}

/// Why braces were not expanded.
pub(super) enum Refused {
    TooLong,
    Unclear,
}

/// One text that is being expanded.
struct Task {
    at: usize,
    end: usize,
    /// What stands before `at`, expanded.
    words: Words,
    /// Ends of the alternatives that are left, last first; the first one's beginning.
    alternatives: Vec<(usize, usize)>,
    /// What the alternatives before came to.
    gathered: Words,
    /// Behind the closing brace.
    behind: usize,
}

impl Task {
    fn new(at: usize, end: usize) -> Self {
        Self {
            at,
            end,
            words: vec![Vec::new()],
            alternatives: Vec::new(),
            gathered: Vec::new(),
            behind: end,
        }
    }
}

/// Expands the braces of a word; `steps` bounds what is looked at and made.
pub(super) fn expand(parts: Vec<Part>, steps: &mut usize) -> Result<Braces, Refused> {
    let opens = |part: &Part| matches!(part, Part::Literal(text) if text.contains('{'));
    let closes = |part: &Part| matches!(part, Part::Literal(text) if text.contains('}'));
    if !parts.iter().any(opens) || !parts.iter().any(closes) {
        return Ok(Braces::None(parts));
    }
    let mut items = Vec::new();
    for part in &parts {
        match part {
            Part::Literal(text) => items.extend(text.chars().map(Item::Char)),
            other => items.push(Item::Part(other.clone())),
        }
    }
    let mut budget = Budget {
        items: &items,
        steps,
    };
    let words = budget.run()?;
    if words.len() == 1 && words.first() == Some(&items) {
        return Ok(Braces::None(parts));
    }
    let join = |items: Vec<Item>| {
        let mut out = super::frames::WordOut::default();
        for item in items {
            match item {
                Item::Char(c) => out.literal(c.encode_utf8(&mut [0; 4])),
                Item::Part(part) => out.push(part),
            }
        }
        out.parts
    };
    Ok(Braces::Some(words.into_iter().map(join).collect()))
}

struct Budget<'a> {
    items: &'a [Item],
    steps: &'a mut usize,
}

impl Budget<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), Refused> {
        match self.steps.checked_sub(steps) {
            Some(left) => *self.steps = left,
            None => return Err(Refused::TooLong),
        }
        Ok(())
    }

    fn char(&self, at: usize, end: usize) -> Option<char> {
        match self.items.get(at) {
            Some(Item::Char(c)) if at < end => Some(*c),
            _ => None,
        }
    }

    fn run(&mut self) -> Result<Words, Refused> {
        let mut tasks = vec![Task::new(0, self.items.len())];
        loop {
            let Some(mut task) = tasks.pop() else {
                return Ok(Vec::new());
            };
            if let Some((from, to)) = task.alternatives.pop() {
                tasks.push(task);
                tasks.push(Task::new(from, to));
                continue;
            }
            if !task.gathered.is_empty() {
                let gathered = std::mem::take(&mut task.gathered);
                task.words = self.product(&task.words, &gathered)?;
                task.at = task.behind;
            }
            if self.advance(&mut task)? {
                tasks.push(task);
                continue;
            }
            match tasks.last_mut() {
                Some(around) => around.gathered.extend(task.words),
                None => return Ok(task.words),
            }
        }
    }

    /// Expands the next brace; whether there was one.
    fn advance(&mut self, task: &mut Task) -> Result<bool, Refused> {
        let (begin, end) = (task.at, task.end);
        let mut open = begin;
        let close = loop {
            open = self.gobble(open, begin, end, '{')?;
            if open >= end {
                let rest = self.slice(begin, end);
                task.words = self.product(&task.words, &[rest])?;
                task.at = end;
                return Ok(false);
            }
            let close = self.gobble(open + 1, begin, end, '}')?;
            if close < end {
                break close;
            }
            open += 1;
        };
        let preamble = self.slice(begin, open);
        let inside = (open + 1, close);
        let comma = (inside.0..inside.1).any(|at| self.char(at, close) == Some(','));
        let unclear = |item: &Item| match item {
            Item::Part(Part::Parameter { parameter, .. }) => {
                parameter.operation != super::ast::Operation::Plain
            }
            Item::Part(Part::Quoted(text)) => text.contains(','),
            Item::Part(_) => true,
            Item::Char(_) => false,
        };
        if comma {
            task.words = self.product(&task.words, &[preamble])?;
            let mut alternatives = self.alternatives(inside.0, inside.1)?;
            alternatives.reverse();
            task.alternatives = alternatives;
            task.behind = close + 1;
            return Ok(true);
        }
        let amble = self.slice(inside.0, inside.1);
        if amble.iter().any(unclear) {
            return Err(Refused::Unclear);
        }
        let sequence = match text_of(&amble) {
            Some(text) => sequence(&text, self.steps)?,
            None => None,
        };
        task.words = self.product(&task.words, &[preamble])?;
        match sequence {
            Some(words) => {
                let words: Words = words
                    .into_iter()
                    .map(|word| word.chars().map(Item::Char).collect())
                    .collect();
                task.words = self.product(&task.words, &words)?;
                task.at = close + 1;
                Ok(true)
            }
            None if close + 1 < end => {
                let whole = self.slice(open, close + 1);
                task.words = self.product(&task.words, &[whole])?;
                task.at = close + 1;
                Ok(true)
            }
            None => {
                let rest = self.slice(open, end);
                task.words = self.product(&task.words, &[rest])?;
                task.at = end;
                Ok(false)
            }
        }
    }

    fn slice(&self, from: usize, to: usize) -> Vec<Item> {
        self.items.get(from..to).unwrap_or_default().to_vec()
    }

    /// bash's `brace_gobbler`: where the brace that is looked for stands, or `end`.
    fn gobble(
        &mut self,
        from: usize,
        begin: usize,
        end: usize,
        wanted: char,
    ) -> Result<usize, Refused> {
        let mut level = 0_usize;
        let mut commas = usize::from(wanted == '{');
        let mut at = from;
        while at < end {
            self.spend(1)?;
            let Some(c) = self.char(at, end) else {
                at += 1;
                continue;
            };
            if c == wanted && level == 0 && commas > 0 {
                let next = self.items.get(at + 1).filter(|_| at + 1 < end);
                let alone = next.is_none() || next == Some(&Item::Char('}'));
                if c == '{' && at == begin && alone {
                    at += 1;
                    continue;
                }
                return Ok(at);
            }
            match c {
                '{' => level += 1,
                '}' => level = level.saturating_sub(1),
                ',' if wanted == '}' && level == 0 => commas += 1,
                '.' if wanted == '}'
                    && level == 0
                    && self.char(at + 1, end) == Some('.')
                    && self.char(at + 2, end) != Some('}') =>
                {
                    commas += 1;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(end)
    }

    /// The texts between commas that no inner brace holds.
    fn alternatives(&mut self, from: usize, to: usize) -> Result<Vec<(usize, usize)>, Refused> {
        let mut alternatives = Vec::new();
        let mut start = from;
        let mut level = 0_usize;
        for at in from..to {
            self.spend(1)?;
            match self.char(at, to) {
                Some('{') => level += 1,
                Some('}') => level = level.saturating_sub(1),
                Some(',') if level == 0 => {
                    alternatives.push((start, at));
                    start = at + 1;
                }
                _ => {}
            }
        }
        alternatives.push((start, to));
        Ok(alternatives)
    }

    fn product(&mut self, left: &[Vec<Item>], right: &[Vec<Item>]) -> Result<Words, Refused> {
        let length = |words: &[Vec<Item>]| words.iter().map(|word| word.len() + 1).sum::<usize>();
        let made = length(left)
            .saturating_mul(right.len())
            .saturating_add(length(right).saturating_mul(left.len()));
        self.spend(made)?;
        let mut words = Vec::new();
        for before in left {
            for after in right {
                let mut word = before.clone();
                word.extend_from_slice(after);
                words.push(word);
            }
        }
        Ok(words)
    }
}

fn text_of(items: &[Item]) -> Option<String> {
    let chars = items.iter().map(|item| match item {
        Item::Char(c) => Some(*c),
        Item::Part(_) => None,
    });
    chars.collect()
}

/// `1..9`, `a..z`, with `..step`: its words; `None` where it is no sequence.
fn sequence(text: &str, steps: &mut usize) -> Result<Option<Vec<String>>, Refused> {
    let Some((first, rest)) = text.split_once("..") else {
        return Ok(None);
    };
    let (last, step) = match rest.split_once("..") {
        Some((last, step)) => (last, Some(step)),
        None => (rest, None),
    };
    let number = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse::<i32>().ok())
    };
    let letter = |text: &str| {
        let only = <[char; 1]>::try_from(text.chars().collect::<Vec<_>>()).ok();
        only.map(|[c]| c).filter(char::is_ascii_alphabetic)
    };
    let step = match step.map(number) {
        None => 1,
        Some(Some(Some(step))) => i64::from(step).abs().max(1),
        Some(Some(None)) => return Err(Refused::Unclear),
        Some(None) => return Ok(None),
    };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        if first.is_ascii_uppercase() != last.is_ascii_uppercase() {
            return Err(Refused::Unclear);
        }
        let made = values(
            i64::from(u32::from(first)),
            i64::from(u32::from(last)),
            step,
            1,
            steps,
        )?;
        let char = |value: i64| u32::try_from(value).ok().and_then(char::from_u32);
        return Ok(Some(
            made.into_iter()
                .filter_map(char)
                .map(String::from)
                .collect(),
        ));
    }
    let (Some(low), Some(high)) = (number(first), number(last)) else {
        return Ok(None);
    };
    let (Some(low), Some(high)) = (low, high) else {
        return Err(Refused::Unclear);
    };
    let padded = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.len() > 1 && digits.starts_with('0')
    };
    let width = match padded(first) || padded(last) {
        true => first.len().max(last.len()),
        false => 0,
    };
    let made = values(i64::from(low), i64::from(high), step, width.max(12), steps)?;
    Ok(Some(
        made.into_iter()
            .map(|value| format!("{value:0width$}"))
            .collect(),
    ))
}

fn values(
    first: i64,
    last: i64,
    step: i64,
    width: usize,
    steps: &mut usize,
) -> Result<Vec<i64>, Refused> {
    let count = (first.abs_diff(last) / step.unsigned_abs()).saturating_add(1);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    match steps.checked_sub(count.saturating_mul(width)) {
        Some(left) => *steps = left,
        None => return Err(Refused::TooLong),
    }
    let step = if first > last { -step } else { step };
    let count = i64::try_from(count).unwrap_or_default();
    Ok((0..count).map(|index| first + index * step).collect())
}

//! RFC 8785 canonical JSON: the bytes that are hashed and signed.

use serde_json::{Map, Value};

use crate::contracts::ids::Sha256;

/// Largest integer that every IEEE 754 double below it represents exactly: 2^53 - 1.
pub(super) const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The canonical form of a value.
///
/// `serde_json` already writes what RFC 8785 asks for, except for the order of names outside the
/// Basic Multilingual Plane and for numbers that are not small integers: those values go through
/// the canonicalizer, which is an order of magnitude slower. The tests hold the two against
/// each other.
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    let written = if is_plain(value) {
        serde_json::to_vec(value)
    } else {
        serde_json_canonicalizer::to_vec(value)
    };
    // Neither writer can fail on a `Value`: its names are strings and its numbers are finite.
    // An empty text is not canonical JSON of anything, so nothing could be forged through it.
    written.unwrap_or_default()
}

/// [`canonical`] of an object.
pub(super) fn canonical_object(object: &Map<String, Value>) -> Vec<u8> {
    let plain = object
        .iter()
        .all(|(name, value)| is_bmp_ordered(name) && is_plain(value));
    let written = if plain {
        serde_json::to_vec(object)
    } else {
        serde_json_canonicalizer::to_vec(object)
    };
    written.unwrap_or_default()
}

/// Digest of a call's canonical arguments: what an approval is bound to.
#[must_use]
pub fn args_sha256(args: &Map<String, Value>) -> Sha256 {
    Sha256::of(&canonical_object(args))
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => {
            number.as_u64().is_some_and(|n| n <= SAFE_INTEGER)
                || number
                    .as_i64()
                    .is_some_and(|n| n.unsigned_abs() <= SAFE_INTEGER)
        }
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(map) => map
            .iter()
            .all(|(name, value)| is_bmp_ordered(name) && is_plain(value)),
    }
}

/// Whether UTF-8 order and UTF-16 order agree on a name: they differ only from U+E000 on, whose
/// first UTF-8 byte is 0xEE or more.
pub(super) fn is_bmp_ordered(name: &str) -> bool {
    name.bytes().all(|byte| byte < 0xee)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contracts::strict_json;

    fn canon(text: &str) -> String {
        String::from_utf8(canonical(
            &strict_json::from_slice(text.as_bytes()).unwrap(),
        ))
        .unwrap()
    }

    /// RFC 8785 appendix B: IEEE 754 bits and the ECMAScript text of the number.
    const NUMBERS: &[(u64, &str)] = &[
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        (0x4340_0000_0000_0001, "9007199254740994"),
    ];

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (bits, text) in NUMBERS {
            let number = serde_json::Number::from_f64(f64::from_bits(*bits)).unwrap();
            let bytes = canonical(&Value::Number(number));
            assert_eq!(String::from_utf8(bytes).unwrap(), *text, "{bits:016x}");
        }
    }

    #[test]
    fn numbers_survive_being_read_back() {
        for (bits, text) in NUMBERS {
            let read = strict_json::from_slice(text.as_bytes()).unwrap();
            let double = read.as_f64().unwrap();
            if *bits != 1 << 63 {
                assert_eq!(double.to_bits(), *bits, "{text}");
            }
            assert_eq!(canon(text), *text);
        }
    }

    #[test]
    fn integers_beyond_2_to_the_53_are_doubles() {
        assert_eq!(canon("9007199254740991"), "9007199254740991");
        assert_eq!(canon("9007199254740993"), "9007199254740992");
        assert_eq!(canon("18446744073709551615"), "18446744073709552000");
        assert_eq!(canon("-9223372036854775808"), "-9223372036854776000");
        assert_eq!(
            canon("[1.0,1e2,-0,-0.0,4.50,2e-3]"),
            "[1,100,0,0,4.5,0.002]"
        );
    }

    #[test]
    fn names_are_ordered_by_utf16_code_units() {
        // RFC 8785 section 3.2.3.
        let text = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            canon(text),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn strings_escape_only_what_they_must() {
        let text = r#""\u0000\b\t\n\f\r\u001f\u007f\u2028\u00e9\"\\\/""#;
        assert_eq!(
            canon(text),
            "\"\\u0000\\b\\t\\n\\f\\r\\u001f\u{7f}\u{2028}\u{e9}\\\"\\\\/\""
        );
    }

    /// A deterministic generator, so that a failure can be repeated from its seed.
    pub(in crate::journal) struct Dice(pub(in crate::journal) u64);

    impl Dice {
        pub(in crate::journal) fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }

        fn text(&mut self) -> String {
            let planes = [
                0x20, 0x00, 0x7f, 0x80, 0x2028, 0xd700, 0xe000, 0xfff0, 0x1_0000, 0x1_f600,
            ];
            (0..self.roll(5))
                .filter_map(|_| {
                    let base = planes[usize::try_from(self.roll(10)).unwrap()];
                    char::from_u32(base + u32::try_from(self.roll(32)).unwrap())
                })
                .collect()
        }

        pub(in crate::journal) fn value(&mut self, depth: u32) -> Value {
            match self.roll(if depth == 0 { 6 } else { 8 }) {
                0 => Value::Null,
                1 => Value::Bool(true),
                2 => Value::from(self.roll(u64::MAX)),
                3 => Value::from(self.roll(1 << 20).cast_signed() - (1 << 19)),
                4 => Value::from(f64::from_bits(self.roll(u64::MAX))),
                5 => Value::String(self.text()),
                6 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect(),
                _ => Value::Object(
                    (0..self.roll(5))
                        .map(|_| (self.text(), self.value(depth - 1)))
                        .collect(),
                ),
            }
        }
    }

    #[test]
    fn the_fast_way_and_the_canonicalizer_agree() {
        let mut plain = 0;
        for seed in 1..20_000_u64 {
            let value = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).value(3);
            plain += u32::from(is_plain(&value));
            let slow = serde_json_canonicalizer::to_vec(&value).unwrap();
            assert_eq!(canonical(&value), slow, "seed {seed}");
        }
        assert!(
            plain > 1000,
            "the fast way must be taken often to be tested: {plain}"
        );
    }
}

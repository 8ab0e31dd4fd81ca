//! Journal time: RFC 3339 in UTC with milliseconds and `Z`, 24 bytes, as `2026-06-24T10:00:00.137Z`.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 86_400;

/// Formats a time; one before 1970 is shown as 1970.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / DAY_SECONDS, since.as_secs() % DAY_SECONDS);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The day of a time in UTC, as `2026-06-24`.
#[must_use]
pub fn day(time: SystemTime) -> String {
    let mut text = rfc3339(time);
    text.truncate("2026-06-24".len());
    text
}

/// Gregorian date of a day count since 1970-01-01, in years that begin in March so that the leap
/// day comes last (the era/year-of-era decomposition).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Whether a text has the shape and the ranges of a journal time. A leap second is accepted.
#[must_use]
pub fn is_rfc3339_millis(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd.dddZ";
    if bytes.len() != shape.len() {
        return false;
    }
    let fits = bytes.iter().zip(shape).all(|(byte, want)| match want {
        b'd' => byte.is_ascii_digit(),
        _ => byte == want,
    });
    let two = |at: usize| text.get(at..at + 2).and_then(|s| s.parse::<u8>().ok());
    fits && two(5).is_some_and(|m| (1..=12).contains(&m))
        && two(8).is_some_and(|d| (1..=31).contains(&d))
        && two(11).is_some_and(|h| h <= 23)
        && two(14).is_some_and(|m| m <= 59)
        && two(17).is_some_and(|s| s <= 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_days() {
        // Each pair as `date -u -d @SECONDS +%FT%TZ` prints it.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_782_295_200, "2026-06-24T10:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
            assert!(is_rfc3339_millis(text));
        }
    }

    #[test]
    fn refuses_other_shapes() {
        for bad in [
            "2026-06-24T10:00:00Z",
            "2026-06-24T10:00:00.137+00:00",
            "2026-13-24T10:00:00.137Z",
            "2026-06-24T24:00:00.137Z",
            "2026-06-24t10:00:00.137z",
        ] {
            assert!(!is_rfc3339_millis(bad), "{bad}");
        }
    }
}

//! Numbers with units.

use std::time::Duration;

/// `250ms`, `10s`, `5m`, `1h`, `1d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let found = Duration::from_millis(number.checked_mul(milliseconds)?);
    (!found.is_zero()).then_some(found)
}

/// `500 B`, `32 KB` (thousands), `4 MiB` (multiples of 1,024).
pub(super) fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = split(text)?;
    let size = match unit {
        "B" => 1,
        "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let found = usize::try_from(number.checked_mul(size)?).ok()?;
    (found > 0).then_some(found)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text.get(..end)?.parse().ok()?;
    Some((number, text.get(end..)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("1d"), Some(Duration::from_secs(86_400)));
        assert_eq!(duration("5 m"), Some(Duration::from_secs(300)));
        assert_eq!(bytes("4 MiB"), Some(4 << 20));
        assert_eq!(bytes("32KB"), Some(32_000));
        for wrong in [
            "",
            "s",
            "10",
            "1.5s",
            "-1s",
            "0s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        for wrong in ["4", "4 mb", "0 B", "18446744073709551615 GB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}

//! Values of records as people read them.

use super::records::{Column, ColumnIndex, Records};

impl Records {
    /// The value of a record in a column as text: dates as `YYYY-MM-DD`, members of a set in the order of
    /// their text with `; ` between them. `None` where there is no value, no such column or no such record.
    #[must_use]
    pub fn value(&self, column: ColumnIndex, record: u32) -> Option<String> {
        if record >= self.count() {
            return None;
        }
        let column = self.column(column)?;
        if column.is_missing(record) {
            return None;
        }
        let at = record as usize;
        Some(match column {
            Column::Text { codes, texts } => texts.get(*codes.get(at)?).to_owned(),
            Column::Date(days) => date(*days.get(at)?),
            Column::Number(numbers) => numbers.get(at)?.to_string(),
            Column::TextArray { texts, .. } => {
                let codes = column.array(record).iter();
                let mut members: Vec<&str> = codes.map(|code| texts.get(*code)).collect();
                members.sort_unstable();
                members.join("; ")
            }
        })
    }
}

/// A day as `YYYY-MM-DD`, from days since 1970-01-01 in the Gregorian calendar (Hinnant,
/// "chrono-compatible low-level date algorithms", 2013: days to civil).
fn date(days: i32) -> String {
    let shifted = i64::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that a leap day is the last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn values_are_shown_as_people_write_them() {
        let mut records = Records::new(&[2, 1], &[0, 0]).unwrap();
        let text = records.add_text([Some("ann"), None]).unwrap();
        let day = records.add_date([Some(19_782), None]).unwrap();
        let number = records.add_number([Some(1.5), None]).unwrap();
        let set = records
            .add_text_array([Some(vec!["b", "a"]), None])
            .unwrap();
        let (one, other) = (records.record(0), records.record(1));
        let shown = |column| records.value(column, one).unwrap();
        assert_eq!(shown(text), "ann");
        assert_eq!(shown(day), "2024-02-29");
        assert_eq!(shown(number), "1.5");
        assert_eq!(shown(set), "a; b");
        for column in [text, day, number, set] {
            assert_eq!(records.value(column, other), None);
        }
        assert_eq!(records.value(9, one), None);
        assert_eq!(records.value(text, 2), None);
    }

    #[test]
    fn days_around_the_edges_of_the_calendar() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (-25_509, "1900-02-28"),
            (-25_508, "1900-03-01"),
            (-719_162, "0001-01-01"),
        ] {
            assert_eq!(date(days), text);
        }
    }
}

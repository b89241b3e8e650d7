//! What an error of the server or the connection means.

use std::collections::BTreeSet;

use mysql_async::{DriverError, Error, ServerError};

use crate::{BatchOperation, DestinationError, FailureClass, SendResult};

/// An expression is out of range: how an upsert says that it met another row than that of its key.
const OUT_OF_RANGE: u16 = 1690;

/// Whether a code means that the account may not do this with a table or column.
pub(super) fn is_denied(code: u16) -> bool {
    matches!(code, 1142 | 1143)
}

/// The reason in a few words: never row values, which the server puts between quotes. Of what is in quotes
/// only names of the schema are kept.
fn in_words(error: &ServerError, names: &BTreeSet<String>) -> String {
    let message = &error.message;
    let end = message.find(['\'', '"', '`']).unwrap_or(message.len());
    let words = message.get(..end).unwrap_or_default().trim_end();
    let mut text = words.to_owned();
    let named = |name: &&String| {
        [
            format!("'{name}'"),
            format!("`{name}`"),
            format!(".{name}'"),
        ]
        .iter()
        .any(|form| message.contains(form.as_str()))
    };
    for name in names.iter().filter(named) {
        text.push_str(&format!(" `{name}`"));
    }
    text.push_str(&format!(
        " (error {}, SQLSTATE {})",
        error.code, error.state
    ));
    text
}

/// What a broken connection says of itself.
pub(super) fn reason(error: &Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// What a failed statement of an operation means for its batch. The transaction is rolled back.
pub(super) fn of_statement(
    error: &Error,
    operation: BatchOperation,
    names: &BTreeSet<String>,
) -> SendResult {
    match error {
        Error::Server(error)
            if error.code == OUT_OF_RANGE && operation == BatchOperation::Upsert =>
        {
            SendResult::Rejected {
                class: FailureClass::Conflict,
                message: "a unique index other than that of the key has a value of the row already"
                    .to_owned(),
            }
        }
        Error::Server(error) => by_code(error.code, &error.state, in_words(error, names)),
        Error::Driver(DriverError::PacketTooLarge) => SendResult::Rejected {
            class: FailureClass::TooLarge,
            message: "longer than the server takes".to_owned(),
        },
        error => SendResult::Transient {
            class: FailureClass::ConnectionLost,
            message: reason(error),
        },
    }
}

fn by_code(code: u16, state: &str, message: String) -> SendResult {
    let rejected = |class, message| SendResult::Rejected { class, message };
    let transient = |class, message| SendResult::Transient { class, message };
    let fatal = |class, message| SendResult::Fatal { class, message };
    match code {
        // Two rows with one value of a unique index.
        1022 | 1062 | 1169 | 1586 | 1859 => rejected(FailureClass::Conflict, message),
        // Longer than a packet, a row or an index entry may be.
        1118 | 1153 | 1301 | 1713 => rejected(FailureClass::TooLarge, message),
        // Values, constraints, a partition that does not exist, JSON, checks, a trigger's refusal.
        1048
        | 1136
        | 1216
        | 1217
        | 1263..=1267
        | 1270
        | 1292
        | 1364
        | 1366
        | 1367
        | 1369
        | 1406
        | 1411
        | 1416
        | 1441
        | 1451
        | 1452
        | 1525
        | 1526
        | 1557
        | 1644
        | OUT_OF_RANGE
        | 1748
        | 3140
        | 3141
        | 3143
        | 3156
        | 3157
        | 3819
        | 4025
        | 4078 => rejected(FailureClass::InvalidRow, message),
        1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370 | 1410 | 1698 | 1820 | 1862 | 3118
        | 4151 => fatal(FailureClass::Unauthorized, message),
        1046 | 1049 | 1051 | 1054 | 1064 | 1109 | 1146 | 1193 | 1231 | 1348 | 1471 | 1906
        | 3105 => fatal(FailureClass::Misconfigured, message),
        // Somebody else holds a row, or the time is up.
        1205 | 1969 | 3024 => transient(FailureClass::TimedOut, message),
        _ => match state.get(..2).unwrap_or_default() {
            "21" | "22" | "23" | "44" | "45" => rejected(FailureClass::InvalidRow, message),
            "28" => fatal(FailureClass::Unauthorized, message),
            "0A" | "3D" | "42" => fatal(FailureClass::Misconfigured, message),
            _ => transient(FailureClass::Unavailable, message),
        },
    }
}

/// What a failure outside of a batch means: connecting, reading the catalogue.
pub(super) fn of_check(error: &Error, address: &str) -> DestinationError {
    let address = address.to_owned();
    let Error::Server(error) = error else {
        return DestinationError::Unreachable {
            address,
            reason: reason(error),
        };
    };
    let message = in_words(error, &BTreeSet::new());
    match by_code(error.code, &error.state, message) {
        SendResult::Fatal {
            class: FailureClass::Unauthorized,
            ..
        } => DestinationError::Unauthorized { address },
        SendResult::Transient { message, .. } => DestinationError::Unavailable {
            address,
            reason: message,
        },
        SendResult::Fatal { message, .. } | SendResult::Rejected { message, .. } => {
            DestinationError::Unexpected {
                address,
                reason: message,
            }
        }
        _ => DestinationError::Unexpected {
            address,
            reason: format!("error {}", error.code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_meaning() {
        let kind = |code: u16, state: &str| match by_code(code, state, String::new()) {
            SendResult::Rejected { .. } => "rejected",
            SendResult::Transient { .. } => "transient",
            SendResult::Fatal { .. } => "fatal",
            _ => "other",
        };
        for (code, state, expected) in [
            (1062, "23000", "rejected"),
            (1048, "23000", "rejected"),
            (1264, "22003", "rejected"),
            (1265, "01000", "rejected"),
            (1366, "HY000", "rejected"),
            (1364, "HY000", "rejected"),
            (1406, "22001", "rejected"),
            (1452, "23000", "rejected"),
            (4025, "23000", "rejected"),
            (3819, "HY000", "rejected"),
            (1644, "45000", "rejected"),
            (1153, "08S01", "rejected"),
            (1205, "HY000", "transient"),
            (1213, "40001", "transient"),
            (1040, "08004", "transient"),
            (1053, "08S01", "transient"),
            (1927, "70100", "transient"),
            (1317, "70100", "transient"),
            (1290, "HY000", "transient"),
            (1792, "25006", "transient"),
            (1021, "HY000", "transient"),
            (1045, "28000", "fatal"),
            (1142, "42000", "fatal"),
            (1049, "42000", "fatal"),
            (1146, "42S02", "fatal"),
            (1054, "42S22", "fatal"),
            (9999, "42000", "fatal"),
        ] {
            assert_eq!(kind(code, state), expected, "{code}");
        }
    }

    #[test]
    fn words_hold_names_of_the_schema_and_no_values() {
        let names = BTreeSet::from(["mail".to_owned(), "contacts_mail".to_owned()]);
        for (message, expected) in [
            (
                "Duplicate entry 'O'Brien@x' for key 'contacts_mail'",
                "Duplicate entry `contacts_mail`",
            ),
            (
                "Data too long for column 'mail' at row 1",
                "Data too long for column `mail`",
            ),
            (
                "Incorrect integer value: 'many' for column `db`.`t`.`n` at row 1",
                "Incorrect integer value:",
            ),
            ("Deadlock found", "Deadlock found"),
        ] {
            let error = ServerError {
                code: 1,
                message: message.to_owned(),
                state: "23000".to_owned(),
            };
            let expected = format!("{expected} (error 1, SQLSTATE 23000)");
            assert_eq!(in_words(&error, &names), expected);
        }
    }
}

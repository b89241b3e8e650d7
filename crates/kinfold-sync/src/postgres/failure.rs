//! What an error of the server or the connection means.

use tokio_postgres::error::{DbError, SqlState};

use crate::{DestinationError, FailureClass, SendResult};

/// The reason in a few words: never row values, which `DETAIL` and quoted text hold.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return in_words(error);
    }
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// State, message without quoted text that is not a name of the schema, and the names.
fn in_words(error: &DbError) -> String {
    let names = [
        error.column(),
        error.constraint(),
        error.table(),
        error.datatype(),
    ];
    let mut text = String::new();
    for (index, part) in error.message().split('"').enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
        } else if names.contains(&Some(part)) {
            text.push('`');
            text.push_str(part);
            text.push('`');
        } else {
            text.push_str("`…`");
        }
    }
    format!("{text} (SQLSTATE {})", error.code().code())
}

/// What a failed statement means for its batch. The transaction is rolled back.
pub(super) fn of_statement(error: &tokio_postgres::Error) -> SendResult {
    let Some(state) = error.code() else {
        return SendResult::Transient {
            class: FailureClass::ConnectionLost,
            message: reason(error),
        };
    };
    by_state(state, reason(error))
}

fn by_state(state: &SqlState, message: String) -> SendResult {
    let rejected = |class, message| SendResult::Rejected { class, message };
    let transient = |class, message| SendResult::Transient { class, message };
    let fatal = |class, message| SendResult::Fatal { class, message };
    if *state == SqlState::UNIQUE_VIOLATION || *state == SqlState::EXCLUSION_VIOLATION {
        return rejected(FailureClass::Conflict, message);
    }
    if *state == SqlState::INSUFFICIENT_PRIVILEGE {
        return fatal(FailureClass::Unauthorized, message);
    }
    if *state == SqlState::QUERY_CANCELED {
        return transient(FailureClass::TimedOut, message);
    }
    if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
        return transient(FailureClass::Unavailable, message);
    }
    match state.code().get(..2).unwrap_or_default() {
        // Data, constraints, two keys that the column's type makes equal, a view's check, a trigger's refusal.
        "21" | "22" | "23" | "44" | "P0" => rejected(FailureClass::InvalidRow, message),
        "54" => rejected(FailureClass::TooLarge, message),
        "28" => fatal(FailureClass::Unauthorized, message),
        "0A" | "3D" | "3F" | "42" => fatal(FailureClass::Misconfigured, message),
        _ => transient(FailureClass::Unavailable, message),
    }
}

/// What a failure outside of a batch means: connecting, reading the catalogue.
pub(super) fn of_check(error: &tokio_postgres::Error, address: &str) -> DestinationError {
    let address = address.to_owned();
    let Some(state) = error.code() else {
        // Without a state from the server, only a missing password concerns the credentials.
        let reason = reason(error);
        return if reason.contains("password") {
            DestinationError::Unauthorized { address }
        } else {
            DestinationError::Unreachable { address, reason }
        };
    };
    match by_state(state, reason(error)) {
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
            reason: state.code().to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_their_meaning() {
        let kind = |code: &str| match by_state(&SqlState::from_code(code), String::new()) {
            SendResult::Rejected { .. } => "rejected",
            SendResult::Transient { .. } => "transient",
            SendResult::Fatal { .. } => "fatal",
            _ => "other",
        };
        for code in [
            "22001", "22P02", "23502", "23503", "23505", "23514", "21000", "54000", "P0001",
        ] {
            assert_eq!(kind(code), "rejected", "{code}");
        }
        for code in [
            "40001", "40P01", "57P01", "57P02", "57P03", "57014", "08006", "53300", "53100",
            "55P03", "25006", "25P02", "XX000",
        ] {
            assert_eq!(kind(code), "transient", "{code}");
        }
        for code in [
            "28P01", "28000", "3D000", "42501", "42P01", "42703", "0A000",
        ] {
            assert_eq!(kind(code), "fatal", "{code}");
        }
    }
}

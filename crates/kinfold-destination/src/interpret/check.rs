//! Whether credentials are right and what a sync writes is there, asked without writing.

use kinfold_sync::{CredentialsCheck, DestinationError};

use super::call::Asked;
use super::destination::ManifestDestination;
use super::discovery;
use super::judge::Purpose;
use crate::manifest::Call;

impl ManifestDestination {
    /// The call that asks about credentials, if there is one for this connection.
    fn check_call(&self) -> Option<&Call> {
        let now = self.account().now();
        let scope = self.scope(&now);
        let call = self.account().manifest().check.as_ref();
        call.filter(|call| call.when.as_ref().is_none_or(|when| when.holds(&scope)))
    }

    /// What the credentials are asked by. The fields of the account are read with them too, and so is a token.
    pub(super) fn asks_about_credentials(&self) -> CredentialsCheck {
        let manifest = self.account().manifest();
        let fields = self.object().fields.as_ref();
        let discovers = fields.is_some_and(|fields| fields.discover.is_some());
        if discovers || manifest.auth.token.is_some() || self.check_call().is_some() {
            return CredentialsCheck::Asked;
        }
        let why = manifest.no_check.clone();
        CredentialsCheck::CannotAsk {
            why: why.unwrap_or_else(|| "its manifest has no `check`".to_owned()),
        }
    }

    /// Asks about the credentials alone; whether there was anything to ask.
    ///
    /// # Errors
    /// They are refused, or there is no answer.
    pub(crate) async fn check_credentials(&self) -> Result<bool, DestinationError> {
        let Some(call) = self.check_call() else {
            let token = self.account().token(None).await;
            let token = token.map_err(|judged| self.error_of(&judged))?;
            return Ok(token.is_some());
        };
        let now = self.account().now();
        let asked = Asked {
            call,
            scope: self.scope(&now),
            rows: 0,
            purpose: Purpose::Read,
            max_body: None,
        };
        let ran = self.account().run(&asked).await;
        if ran.judged.worked() {
            return Ok(true);
        }
        Err(self.error_of(&ran.judged))
    }

    /// Asks for the fields of the account, and whether those that the sync maps are among them.
    ///
    /// # Errors
    /// They are not, or there is no answer.
    pub(super) async fn check_fields(&self) -> Result<(), DestinationError> {
        let list = self.object().fields.as_ref();
        let Some(discover) = list.and_then(|list| list.discover.as_ref()) else {
            return Ok(());
        };
        let now = self.account().now();
        let found = discovery::fields(self.account(), discover, self.scope(&now)).await;
        let found = found.map_err(|judged| self.error_of(&judged))?;
        discovery::check_fields(self.object(), self.object_path(), self.fields(), &found)
    }
}

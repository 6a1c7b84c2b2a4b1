//! Exit statuses, which scripts branch on. kw-chat(1), EXIT STATUS.

use crate::request::{Outcome, Sent};
pub(crate) use keywire::talk::exit::{
    NOT_ACKED, PENDING as NOT_PAIRED, REFUSED, STATE, TIMEOUT, UNPROVEN, UNREACHABLE, of, worse,
};

impl Sent {
    /// That of what became of one message.
    pub(crate) fn status(&self) -> u8 {
        match &self.outcome {
            Outcome::Acked(_) | Outcome::Sent => 0,
            Outcome::Late => NOT_ACKED,
            Outcome::Unreachable(_) => UNREACHABLE,
            // Its user has answered: that is another thing than to wait.
            Outcome::Unpaired(standing) if standing == "declined-by-peer" => REFUSED,
            Outcome::Unpaired(_) => NOT_PAIRED,
            Outcome::Refused(_) => REFUSED,
            Outcome::Unproven(_) => UNPROVEN,
        }
    }

    /// Whether those that follow would fare the same.
    pub(crate) fn is_final(&self) -> bool {
        self.status() > NOT_ACKED
    }
}

//! Exit statuses, which scripts branch on. kw-chat(1), EXIT STATUS.

use crate::request::{Outcome, Sent};
use keywire::error::Kind;

/// The peer cannot be reached.
pub(crate) const UNREACHABLE: u8 = 3;
/// It was sent, and not acknowledged in time.
pub(crate) const NOT_ACKED: u8 = 4;
/// There is no pair, or consent is pending.
pub(crate) const NOT_PAIRED: u8 = 5;
/// The peer has declined, or refuses us.
pub(crate) const REFUSED: u8 = 6;
/// Something here failed.
pub(crate) const STATE: u8 = 7;
/// The peer's key is not proven.
pub(crate) const UNPROVEN: u8 = 8;
/// The time is over, as timeout(1) says it.
pub(crate) const TIMEOUT: u8 = 124;

/// That of a failure.
pub(crate) fn of(kind: Kind) -> u8 {
    match kind {
        Kind::ClosedOutput => 0,
        Kind::No => 1,
        Kind::Usage => 2,
        Kind::Network => UNREACHABLE,
        Kind::Refused => REFUSED,
        Kind::State => STATE,
        Kind::Unproven => UNPROVEN,
    }
}

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

/// The worse of two statuses: to be late is better than not to be reached, and the others are worse the higher they are.
pub(crate) fn worse(one: u8, other: u8) -> u8 {
    let badness = |status| match status {
        NOT_ACKED => UNREACHABLE,
        UNREACHABLE => NOT_ACKED,
        other => other,
    };
    if badness(other) > badness(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_several_messages_is_the_worst_of_theirs() {
        for (statuses, worst) in [(&[0, 0][..], 0), (&[0, 4, 0], 4), (&[3, 4], 3), (&[4, 3], 3), (&[3, 6, 5], 6)] {
            assert_eq!(statuses.iter().copied().fold(0, worse), worst, "{statuses:?}");
        }
    }
}

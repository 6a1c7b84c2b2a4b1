//! The section INBOX of keywire-protocol(7).

use super::{number, rows_of_source};
use crate::hostile::inbox;
use keywire::conn::Record;
use keywire::proto::inbox::{FromDialer, FromListener, Refusal};

/// The name of a variant, in capitals.
fn name(of: &impl std::fmt::Debug) -> String {
    let text = format!("{of:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_uppercase()
}

#[test]
fn every_record_and_reason_of_an_inbox_in_the_tables_is_understood_and_no_other() {
    let listed: Vec<_> = rows_of_source("lib/proto/inbox/message.rs")
        .into_iter()
        .map(|(at, name, _)| (at.starts_with("0x"), number(&at), name))
        .collect();
    let dialer: Vec<_> = inbox::from_dialer().iter().map(|message| (true, message.encode().0, name(message))).collect();
    let mut listener: Vec<_> =
        inbox::from_listener().iter().map(|message| (true, message.encode().0, name(message))).collect();
    // REFUSED is there once for each reason.
    listener.dedup();
    let reasons: Vec<_> = Refusal::ALL.iter().map(|reason| (false, reason.code(), name(reason))).collect();
    assert_eq!(listed, [dialer.clone(), listener.clone(), reasons].concat());
    for kind in 0..=u8::MAX {
        let of_one = |known: &[(bool, u8, String)]| known.iter().any(|(_, at, _)| *at == kind);
        let unknown = |told: String| assert!(told.contains("unknown type"), "{kind}: {told}");
        let record = Record { kind, body: b"" };
        if !of_one(&dialer) {
            unknown(FromDialer::decode(&record).unwrap_err().to_string());
        }
        if !of_one(&listener) {
            unknown(FromListener::decode(&record).unwrap_err().to_string());
        }
        let reason = FromListener::decode(&Record { kind: 0x12, body: &[kind] });
        assert_eq!(reason.is_ok(), Refusal::ALL.iter().any(|known| known.code() == kind), "{kind}");
    }
}

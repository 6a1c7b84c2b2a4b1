//! The section INBOX of keywire-protocol(7).

use super::{number, read, rows_of_source, section, worked};
use crate::hostile::inbox;
use keywire::conn::Record;
use keywire::proto::inbox::{DEFINITIONS, FromDialer, FromListener, Refusal};

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

#[test]
fn the_protocol_buffers_on_the_page_are_those_of_the_source() {
    let section = section("INBOX");
    let block = section.split("\n.Ss Protocol buffers\n").nth(1).unwrap();
    let block = block.split(".Bd -literal -offset indent\n").nth(1).unwrap().split(".Ed").next().unwrap();
    assert_eq!(block, DEFINITIONS);
}

/// The fields of each message, as `name type number`, the message's name in front.
fn defined() -> Vec<String> {
    let mut message = String::new();
    let mut fields = Vec::new();
    for line in DEFINITIONS.lines().map(str::trim) {
        match (line.strip_prefix("message "), line.split_once(" = ").filter(|_| line.ends_with(';'))) {
            (Some(name), _) => message = name.trim_end_matches(" {").to_owned(),
            (_, Some((kind_and_name, number))) if !line.starts_with("syntax") => {
                let (kind, name) = kind_and_name.rsplit_once(' ').unwrap();
                fields.push(format!("{message} {name} {kind} {}", number.trim_end_matches(';')));
            }
            _ => {}
        }
    }
    fields
}

#[test]
fn the_code_reads_and_writes_the_fields_that_are_defined() {
    let source = read("lib/proto/inbox/wire.rs");
    let mut message = String::new();
    let mut marked: Option<(String, String)> = None;
    let mut fields = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub(super) struct ").and_then(|rest| rest.split(' ').next()) {
            message = name.to_owned();
        } else if line.starts_with("pub(super) enum FrameType") {
            message = "InboxV1Frame".to_owned();
        } else if let Some(mark) = line.strip_prefix("#[prost(").and_then(|rest| rest.strip_suffix(")]")) {
            let number = mark.rsplit("tag = \"").next().unwrap().trim_end_matches('"').to_owned();
            let kind = mark.split([' ', ',']).next().unwrap().to_owned();
            let repeated = if mark.contains("repeated") { "repeated " } else { "" };
            marked = (kind != "oneof").then(|| (format!("{repeated}{kind}"), number));
        } else if let Some((kind, number)) = marked.take() {
            // `name: Type,` of a field, `Name(Type),` of a choice.
            let field = line.trim_start_matches("pub(super) ").trim_start_matches("r#");
            let (name, of) = match field.split_once(": ") {
                Some((name, of)) => (name.to_owned(), of.to_owned()),
                None => {
                    let (name, of) = field.split_once('(').unwrap();
                    let snake =
                        name.chars().flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase()));
                    (snake.collect::<String>().trim_start_matches('_').to_owned(), of.to_owned())
                }
            };
            let of = of.trim_start_matches("Vec<").trim_end_matches([',', ')', '>']).to_owned();
            let kind = kind.replace("message", &of);
            fields.push(format!("{message} {name} {kind} {number}"));
        }
    }
    let sorted = |mut fields: Vec<String>| {
        fields.sort();
        fields
    };
    assert_eq!(sorted(fields), sorted(defined()));
    assert!(defined().len() > 20);
}

#[test]
fn the_worked_message_on_the_page_is_the_vector() {
    worked("INBOX", "A worked message", "tests/vectors/inbox.json");
}

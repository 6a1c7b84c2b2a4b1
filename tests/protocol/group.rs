//! The section GROUP of keywire-protocol(7).

use super::{Fields, Row, fields_of_page, fields_of_text, number, read, rows_of_source, section, worked};
use crate::hostile::group;
use keywire::json;
use keywire::key::PublicKey;
use keywire::proto::group::roster::{Cut, Op, Wraps};
use keywire::proto::group::{Request, message};

#[test]
fn every_message_of_a_group_in_the_table_is_understood_and_no_other() {
    let rows = rows_of_source("lib/proto/group/message.rs");
    let (records, messages) = rows.split_at(2);
    let listed = |rows: &[Row]| rows.iter().map(|(at, name, _)| (number(at), name.clone())).collect::<Vec<_>>();
    let types = [(message::kind::PART, "PART".to_owned()), (message::kind::LAST, "LAST".to_owned())];
    assert_eq!(listed(records), types);
    let known: Vec<(u8, String)> = group::one_of_each()
        .iter()
        .map(|message| {
            let name = format!("{message:?}");
            let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_uppercase();
            (message.encode()[0], name)
        })
        .collect();
    assert_eq!(listed(messages), known);
    for other in (0..=u8::MAX).filter(|other| known.iter().all(|(at, _)| at != other)) {
        let told = message::Message::decode(&[other]).unwrap_err().to_string();
        assert!(told.contains("unknown message"), "{told}");
    }
}

/// The sizes in the table of the page below the line `begins`, those of fields that may stand several times left out.
fn sizes_of_page(begins: &str) -> usize {
    let section = section("GROUP");
    let rows = section.split_once(begins).unwrap().1.split(".El").next().unwrap();
    let rows = rows.lines().filter_map(|line| line.strip_prefix(".It ")).filter(|line| !line.starts_with("dep "));
    rows.map(|line| line.split(" Ta ").nth(1).unwrap().parse::<usize>().unwrap()).sum()
}

#[test]
fn the_fields_of_a_genesis_and_a_header_on_the_page_have_the_bytes_of_the_code() {
    let vectors = read("tests/vectors/group.json");
    let vectors: json::Value = json::parse(vectors.as_bytes(), vectors.len()).unwrap();
    let bytes = |value: &json::Value| value.as_str().unwrap().len() / 2;
    assert_eq!(sizes_of_page(".Ss What a group begins with"), bytes(&vectors["private"]["genesis"]));
    assert_eq!(sizes_of_page("\nThe header:\n"), bytes(&vectors["message"]["header"]));
}

#[test]
fn the_request_for_a_group_on_the_page_is_one() {
    let section = section("GROUP");
    let line = section.lines().find_map(|line| line.strip_prefix(".Dl {")).unwrap();
    let request = Request::decode(format!("{{{}", line.replace("\\(dq", "\"")).as_bytes()).unwrap();
    let vectors = read("tests/vectors/group.json");
    assert!(vectors.contains(&request.group.to_string()));
}

#[test]
fn the_worked_group_on_the_page_is_the_vector() {
    worked("GROUP", "A worked group", "tests/vectors/group.json");
}

/// Each act, with all its fields.
fn one_of_each_op() -> Vec<Op> {
    let member = PublicKey::from_bytes(&[9; 32]).unwrap();
    let wraps = || Wraps { ephemeral: member, boxes: Vec::new() };
    vec![
        Op::Create { name: String::new() },
        Op::Add { member, invite: Some(member), given: Some(wraps()) },
        Op::Remove { member, cut: Cut::default() },
        Op::Promote { member },
        Op::Demote { member, cut: Cut::default() },
        Op::Mute { member, cut: Cut::default() },
        Op::Unmute { member },
        Op::Invite { capability: member, expires: 0, uses: 1, approve: true },
        Op::Revoke { capability: member },
        Op::Rename { name: String::new() },
        Op::Rotate {},
        Op::Give { given: wraps() },
        Op::Checkpoint { members: Vec::new(), frontier: Vec::new() },
    ]
}

#[test]
fn the_acts_on_the_page_are_those_of_the_code_with_their_fields() {
    let code: Vec<Fields> = one_of_each_op().iter().map(|op| fields_of_text(&json::line(op).unwrap())).collect();
    assert_eq!(fields_of_page("GROUP", "Roster"), code);
    let source = read("lib/proto/group/roster.rs");
    let acts = source.split("pub enum Op {").nth(1).unwrap().split("\n}").next().unwrap();
    let named = acts.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(" {")).map(|(name, _)| name);
    let named: Vec<String> = named.filter(|name| !name.starts_with(' ')).map(str::to_lowercase).collect();
    assert_eq!(named, code.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
}

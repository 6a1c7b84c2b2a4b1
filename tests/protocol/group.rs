//! The section GROUP of keywire-protocol(7).

use super::{Row, number, read, rows_of_source, section, worked};
use crate::hostile::group;
use keywire::json;
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

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]

use super::*;
use crate::json::Value;
use crate::key::{KeyPair, SecretKey};
use crate::proto::group::Class;

fn who(byte: u8) -> PublicKey {
    KeyPair::from_secret(SecretKey::from_bytes(&[byte; 32])).public()
}

fn place(byte: u8) -> Place {
    let log = LogId { class: Class::Roster, author: who(byte), inc: Inc([byte; 8]) };
    Place::of(&log, u64::from(byte), EntryId([byte; 32]))
}

fn wraps() -> Wraps {
    let one = |byte| Wrap { member: who(byte), key: KeyId([byte; 32]), sealed: Bytes(vec![byte; 48]) };
    Wraps { ephemeral: who(9), boxes: vec![one(1), one(2)] }
}

fn ops() -> Vec<Op> {
    let (member, capability) = (who(1), who(2));
    let cut = Cut { content: vec![place(1)], roster: vec![place(2), place(3)] };
    let standing = |byte, role, muted| Standing { member: who(byte), role, muted };
    vec![
        Op::Create { name: "the group".to_owned() },
        Op::Add { member, invite: None, given: None },
        Op::Add { member, invite: Some(capability), given: Some(wraps()) },
        Op::Remove { member, cut: cut.clone() },
        Op::Remove { member, cut: Cut::default() },
        Op::Promote { member },
        Op::Demote { member, cut: cut.clone() },
        Op::Mute { member, cut },
        Op::Unmute { member },
        Op::Invite { capability, expires: u64::MAX, uses: 1, approve: true },
        Op::Invite { capability, expires: 0, uses: u32::MAX, approve: false },
        Op::Revoke { capability },
        Op::Rename { name: "\u{1f511}\"\u{202e}".to_owned() },
        Op::Rotate {},
        Op::Give { given: wraps() },
        Op::Checkpoint {
            members: vec![standing(1, Role::Member, true), standing(2, Role::Admin, false)],
            frontier: vec![place(4)],
        },
        Op::Checkpoint { members: Vec::new(), frontier: Vec::new() },
    ]
}

#[test]
fn each_act_is_read_as_it_was_written() {
    for op in ops() {
        for (seen, key) in [(vec![], None), (vec![place(1), place(2)], Some(wraps()))] {
            let act = Act { seen, op: op.clone(), key };
            let bytes = act.encode().unwrap();
            assert_eq!(Act::decode(&bytes).unwrap(), act);
            assert_eq!(Act::decode(&bytes).unwrap().encode().unwrap(), bytes);
        }
    }
}

/// Every object inside of `value`, with its path.
fn objects(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(path.to_owned());
            fields.iter().for_each(|(name, value)| objects(value, &format!("{path}/{name}"), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| objects(value, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused_wherever_it_stands() {
    let mut tried = 0;
    for op in ops() {
        let bytes = Act { seen: vec![place(1)], op, key: Some(wraps()) }.encode().unwrap();
        let good: Value = json::parse(&bytes, bytes.len()).unwrap();
        let mut paths = Vec::new();
        objects(&good, "", &mut paths);
        for path in paths {
            let mut changed = good.clone();
            changed.pointer_mut(&path).unwrap()["more"] = Value::Bool(true);
            let told = Act::decode(json::line(&changed).unwrap().as_bytes()).unwrap_err().to_string();
            assert!(told.contains("unknown field `more`"), "{path}: {told}");
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_field_that_is_not_there_or_of_another_kind_is_refused() {
    let mut tried = 0;
    for op in ops() {
        let bytes = Act { seen: vec![place(1)], op, key: Some(wraps()) }.encode().unwrap();
        let good: Value = json::parse(&bytes, bytes.len()).unwrap();
        let mut paths = Vec::new();
        objects(&good, "", &mut paths);
        for path in paths {
            let fields: Vec<String> = good.pointer(&path).unwrap().as_object().unwrap().keys().cloned().collect();
            for field in fields {
                let mut changed = good.clone();
                changed.pointer_mut(&path).unwrap()[&field] = crate::json::json!(-1.5);
                assert!(Act::decode(json::line(&changed).unwrap().as_bytes()).is_err(), "{path}/{field}");
                changed.pointer_mut(&path).unwrap().as_object_mut().unwrap().remove(&field);
                // What may be left out is read as nothing, and never as something else.
                if let Ok(act) = Act::decode(json::line(&changed).unwrap().as_bytes()) {
                    assert!(act.encode().unwrap().len() < bytes.len(), "{path}/{field}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn an_act_that_nobody_knows_is_refused() {
    for wrong in [
        r#"{}"#,
        r#"{"op":{}}"#,
        r#"{"op":{"type":"crown"}}"#,
        r#"{"op":{"type":"Rotate"}}"#,
        r#"{"op":"rotate"}"#,
        r#"{"op":{"type":"rotate","type":"rotate"}}"#,
        r#"{"op":{"type":"rotate"},"op":{"type":"rotate"}}"#,
        r#"{"op":{"type":"rotate"}}x"#,
        r#"[]"#,
        "",
    ] {
        assert!(Act::decode(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert_eq!(Act::decode(br#"{"op":{"type":"rotate"}}"#).unwrap().op, Op::Rotate {});
    let long = [br#"{"op":{"type":"rotate"}}"#.to_vec(), vec![b' '; MAX_BODY]].concat();
    assert!(Act::decode(&long).is_err());
}

//! Peers of kw-chat that do what they must not.

use super::Party;
use crate::talker::{Talk, Talker};
use keywire::json::Bytes;
use keywire::proto::chat::{Envelope, MessageId, NotSaved, Open, OpenSaved, Saved, Why, kind};

/// A listener, and a talker that is paired with it.
fn paired() -> (Party, Talker, Talk) {
    let b = Party::listening();
    let mut talker = Talker::new(&b.address);
    talker.invite();
    b.chat(["pair", "accept", &talker.key().to_string(), "--name", "talker"]);
    let mut talk = talker.confirm();
    talker.meet(&mut talk);
    (b, talker, talk)
}

fn texts(b: &Party) -> Vec<String> {
    let shown = b.chat(["export", "talker"]).succeeds().stdout;
    let lines =
        shown.lines().map(|line| keywire::json::parse::<keywire::json::Value>(line.as_bytes(), 1 << 20).unwrap());
    lines.map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
}

fn answer(talk: &mut Talk) -> Envelope {
    talk.hear_until(|heard| matches!(heard, Envelope::Saved(_) | Envelope::NotSaved(_)))
}

#[test]
fn a_message_that_is_repeated_is_acknowledged_again_and_stored_once() {
    let (b, mut talker, mut talk) = paired();
    let (message, slot) = talker.message("once");
    for _ in 0..3 {
        talk.say(&Envelope::Message(message.clone()));
        let Envelope::Saved(saved) = answer(&mut talk) else { panic!("not saved") };
        assert!(slot.is_acknowledged_by(&saved));
    }
    talk.end();
    let mut talk = talker.call();
    talker.meet(&mut talk);
    talk.say(&Envelope::Message(message));
    assert!(matches!(answer(&mut talk), Envelope::Saved(_)));
    assert_eq!(texts(&b), ["once"]);
}

#[test]
fn a_message_that_is_changed_anywhere_is_not_taken_and_the_true_one_still_is() {
    let (b, mut talker, mut talk) = paired();
    let (message, _) = talker.message("true");
    let mut forged = Vec::new();
    for at in 0..message.ct.0.len() {
        let mut one = message.clone();
        one.ct.0[at] ^= 1;
        forged.push(one);
    }
    let change = |change: &dyn Fn(&mut keywire::proto::chat::Message)| {
        let mut one = message.clone();
        change(&mut one);
        one
    };
    forged.extend([
        change(&|one| one.nonce.0[0] ^= 1),
        change(&|one| one.n += 1),
        change(&|one| one.ep ^= 1),
        change(&|one| one.time += 1),
        change(&|one| one.ttl = Some(1 << 40)),
        change(&|one| one.ack = false),
        change(&|one| one.id = "another".parse().unwrap()),
        change(&|one| one.reply_to = Some("another".parse().unwrap())),
        change(&|one| one.nonce = Bytes(Vec::new())),
        change(&|one| one.ct = Bytes(Vec::new())),
        change(&|one| one.n = u64::MAX),
    ]);
    for one in forged {
        talk.say(&Envelope::Message(one.clone()));
        let Envelope::NotSaved(nak) = answer(&mut talk) else { panic!("saved: {one:?}") };
        assert!(matches!(nak.why, Why::Damaged | Why::NoKey), "{nak:?}");
    }
    talk.say(&Envelope::Message(message));
    assert!(matches!(answer(&mut talk), Envelope::Saved(_)));
    assert_eq!(texts(&b), ["true"]);
}

#[test]
fn another_pairs_ciphertext_is_not_taken() {
    let (b, mut talker, mut talk) = paired();
    let mut other = Talker::new(&b.address);
    other.invite();
    b.chat(["pair", "accept", &other.key().to_string(), "--name", "other"]);
    let mut others_talk = other.confirm();
    other.meet(&mut others_talk);
    let (message, _) = other.message("of another pair");
    let (mut own, _) = talker.message("own");
    talk.say(&Envelope::Message(message.clone()));
    assert!(matches!(answer(&mut talk), Envelope::NotSaved(_)));
    own.ct = message.ct;
    talk.say(&Envelope::Message(own));
    assert!(matches!(answer(&mut talk), Envelope::NotSaved(_)));
    assert!(texts(&b).is_empty());
}

#[test]
fn what_came_from_the_listener_is_not_taken_back_from_a_mirror() {
    let (b, mut talker, mut talk) = paired();
    b.chat(["send", "--wait=0", "talker", "from b"]).succeeds();
    let theirs = talk.hear_until(|heard| matches!(heard, Envelope::Message(_)));
    talk.say(&theirs);
    assert!(matches!(answer(&mut talk), Envelope::NotSaved(_)));
    let hello = talker.ratchet().hello(&talk.peer.binding, false).unwrap();
    talk.say(&Envelope::Hello(hello.hello().clone()));
    let mirrored = talk.hear_until(|heard| matches!(heard, Envelope::Hello(_)));
    talk.say(&mirrored);
    let (_, end) = talk.rest();
    assert!(!end.is_empty());
    assert_eq!(texts(&b), ["from b"]);
}

#[test]
fn a_forged_acknowledgement_leaves_the_message_waiting() {
    let (b, mut talker, mut talk) = paired();
    b.chat(["send", "--wait=0", "talker", "important"]).succeeds();
    let Envelope::Message(message) = talk.hear_until(|heard| matches!(heard, Envelope::Message(_))) else { panic!() };
    let forged = Saved { id: message.id.clone(), ep: message.ep, n: message.n, mac: Bytes(vec![7; 32]) };
    talk.say(&Envelope::Saved(forged));
    talk.rest();
    // It is sent again on the next connection, and acknowledged there.
    let mut talk = talker.call();
    talker.meet(&mut talk);
    let Envelope::Message(again) = talk.hear_until(|heard| matches!(heard, Envelope::Message(_))) else { panic!() };
    assert_eq!(again.id, message.id);
    let opened = talker.ratchet().open(&again).unwrap();
    talk.say(&Envelope::Saved(opened.saved));
    crate::pty::eventually("it is acknowledged", || {
        b.chat(["history", "--json", "talker"]).stdout.contains("\"stage\":\"acked\"")
    });
}

#[test]
fn a_key_that_is_not_paired_gets_nothing_stored_and_is_told_so() {
    let b = Party::listening();
    let mut paired_elsewhere = {
        let other = Party::listening();
        let mut talker = Talker::new(&other.address);
        talker.invite();
        other.chat(["pair", "accept", &talker.key().to_string()]);
        talker.confirm().end();
        talker
    };
    paired_elsewhere.to = b.address.parse().unwrap();
    let (message, _) = paired_elsewhere.message("no consent");
    let open = Open {
        id: MessageId::random().unwrap(),
        body: Bytes(b"no consent".to_vec()),
        ack: true,
        time: 0,
        reply_to: None,
    };
    for envelope in [Envelope::Message(message), Envelope::Open(open)] {
        let mut talk = paired_elsewhere.call();
        talk.say(&envelope);
        talk.hear_until(|heard| matches!(heard, Envelope::NoPair(_)));
        talk.end();
    }
    assert_eq!(b.chat(["pair", "list"]).succeeds().stdout, "");
    assert!(!b.user.home().join("chat").join(paired_elsewhere.key().to_string()).join("log.jsonl").exists());
}

#[test]
fn what_is_no_envelope_ends_the_connection_and_no_more() {
    let (b, mut talker, talk) = paired();
    talk.end();
    let long = vec![b' '; 60_000];
    let cases: Vec<Vec<(u8, Vec<u8>)>> = vec![
        vec![(kind::ENVELOPE, b"{".to_vec())],
        vec![(kind::ENVELOPE, b"{}".to_vec())],
        vec![(kind::ENVELOPE, br#"{"type":"chat-unknown"}"#.to_vec())],
        vec![(kind::ENVELOPE, br#"{"type":"pair-received","id":"00"}"#.to_vec())],
        vec![(kind::ENVELOPE, Vec::new())],
        vec![(0x42, b"{}".to_vec())],
        vec![(kind::PART, long.clone()), (kind::PART, long.clone()), (kind::PART, long)],
        vec![(kind::ENVELOPE, [vec![b'['; 5000], vec![b']'; 5000]].concat())],
    ];
    for case in cases {
        let mut talk = talker.call();
        for (kind, body) in &case {
            talk.raw(*kind, body);
        }
        let (_, end) = talk.rest();
        assert!(end.contains("protocol error"), "{end} for {:?}", case[0].0);
    }
    let mut talk = talker.call();
    talker.meet(&mut talk);
    let (message, _) = talker.message("still fine");
    talk.say(&Envelope::Message(message));
    assert!(matches!(answer(&mut talk), Envelope::Saved(_)));
    assert_eq!(texts(&b), ["still fine"]);
}

#[test]
fn a_stranger_who_talks_on_and_on_is_cut_off() {
    let b = Party::listening();
    let talker = Talker::new(&b.address);
    let mut talk = talker.call();
    for _ in 0..1000 {
        talk.say(&Envelope::Idle(keywire::proto::chat::Idle { heard: 0 }));
    }
    let (_, end) = talk.rest();
    assert!(end.contains("not paired"), "{end}");
}

#[test]
fn a_hello_of_another_connection_or_another_pair_is_not_taken() {
    let (_b, mut talker, talk) = paired();
    let old = talker.ratchet().hello(&talk.peer.binding, false).unwrap();
    talk.end();
    let mut talk = talker.call();
    talk.say(&Envelope::Hello(old.hello().clone()));
    let (_, end) = talk.rest();
    assert!(!end.is_empty());
    let mut talk = talker.call();
    let mut hello = talker.ratchet().hello(&talk.peer.binding, false).unwrap().hello().clone();
    hello.sent += 1;
    talk.say(&Envelope::Hello(hello));
    let (heard, end) = talk.rest();
    assert!(!end.is_empty() && !heard.iter().any(|one| matches!(one, Envelope::Message(_))));
}

#[test]
fn answers_to_messages_that_were_never_sent_cost_nothing_and_leave_nothing() {
    let (b, mut talker, mut talk) = paired();
    let nobodys = || MessageId::random().unwrap();
    for _ in 0..2000 {
        talk.say(&Envelope::NotSaved(NotSaved { id: nobodys(), ep: 0, n: 0, why: Why::NoKey }));
        talk.say(&Envelope::Saved(Saved { id: nobodys(), ep: 0, n: 0, mac: Bytes(vec![7; 32]) }));
    }
    let (message, _) = talker.message("still served");
    talk.say(&Envelope::Message(message));
    loop {
        match talk.hear().unwrap() {
            Envelope::Saved(_) => break,
            Envelope::Hello(_) => panic!("it took them for its own"),
            _ => {}
        }
    }
    // A stranger's leave no directory behind.
    let stranger = Talker::new(&b.address);
    let mut talk = stranger.call();
    talk.say(&Envelope::Saved(Saved { id: nobodys(), ep: 0, n: 0, mac: Bytes(vec![7; 32]) }));
    talk.say(&Envelope::OpenSaved(OpenSaved { id: nobodys() }));
    talk.say(&Envelope::NotSaved(NotSaved { id: nobodys(), ep: 0, n: 0, why: Why::NoKey }));
    talk.hear_until(|heard| matches!(heard, Envelope::Idle(idle) if idle.heard == 3));
    assert!(!b.user.home().join("chat").join(stranger.key().to_string()).exists());
}

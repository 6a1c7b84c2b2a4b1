//! The numbers of keywire-protocol(7), in its list and in its text.

use super::section;
use keywire::conn::{self, Limits, ListenOptions};
use keywire::inbox::{door, dropbox};
use keywire::noise::{self, Preface};
use keywire::proto::group::{GROUP, MAX_MEMBERS, MAX_NAME_LEN, entry, link, message};
use keywire::proto::inbox::{
    INBOX, MAX_CARD_LEN, MAX_DELIVERY_ADDRESSES, MAX_GREETING_LEN, MAX_HELD, MAX_NOTE_LEN, MAX_SEALED_LEN, MAX_USES,
};
use keywire::proto::{chat, copy, pipe, pty};
use keywire::ratchet;
use keywire::seal::{CIPHER_KEY_LEN, Suite, TAG_LEN};
use keywire::trust::MAX_ADDRESSES;
use keywire::{addr, frame, key, record, root, sign};
use std::collections::BTreeMap;

#[test]
fn the_numbers_of_the_page_are_the_ones_in_the_code() {
    let section = section("NUMBERS");
    let page: BTreeMap<&str, u64> = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It ")?.split_once(" Ta "))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let suite = |suite| u64::from(Preface::new(suite).to_bytes()[1]);
    let limits = Limits::default();
    let code = [
        ("WIRE_VERSION", u64::from(noise::WIRE_VERSION)),
        ("SUITE_AESGCM", suite(Suite::AesGcm)),
        ("SUITE_CHACHAPOLY", suite(Suite::ChaChaPoly)),
        ("KEY_LEN", key::KEY_LEN as u64),
        ("KEY_TEXT_LEN", key::KEY_TEXT_LEN as u64),
        ("MAX_HOST_LEN", addr::MAX_HOST_LEN as u64),
        ("PREFACE_LEN", noise::PREFACE_LEN as u64),
        ("LENGTH_LEN", frame::LENGTH_LEN as u64),
        ("I1_LEN", noise::I1_LEN as u64),
        ("I2_LEN", noise::I2_LEN as u64),
        ("I3_OVERHEAD", noise::I3_OVERHEAD as u64),
        ("PSK_LOCATION", noise::PSK_LOCATION as u64),
        ("MAX_REQUEST_LEN", noise::MAX_REQUEST_LEN as u64),
        ("CIPHER_KEY_LEN", CIPHER_KEY_LEN as u64),
        ("TAG_LEN", TAG_LEN as u64),
        ("MAX_FRAME_LEN", frame::MAX_FRAME_LEN as u64),
        ("MAX_BODY_LEN", record::MAX_BODY_LEN as u64),
        ("REKEY_EVERY", record::REKEY_EVERY),
        ("MAX_ERROR_TEXT", conn::MAX_ERROR_TEXT as u64),
        ("CONNECT_SECONDS", conn::CONNECT_WITHIN.as_secs()),
        ("HANDSHAKE_SECONDS", conn::HANDSHAKE_WITHIN.as_secs()),
        ("KEEPALIVE_SECONDS", conn::KEEPALIVE.as_secs()),
        ("KEEPALIVE_MISSED", u64::from(conn::KEEPALIVE_MISSED)),
        ("MAX_STARTUPS", limits.startups as u64),
        ("MAX_STARTUPS_PER_SOURCE", limits.startups_per_source as u64),
        ("PENALTY_FAILED_SECONDS", conn::PENALTY_FAILED.as_secs()),
        ("PENALTY_STALLED_SECONDS", conn::PENALTY_STALLED.as_secs()),
        ("PENALTY_REFUSED_SECONDS", conn::PENALTY_REFUSED.as_secs()),
        ("PENALTY_ENFORCED_FROM_SECONDS", conn::PENALTY_ENFORCED_FROM.as_secs()),
        ("PENALTY_LONGEST_SECONDS", conn::PENALTY_LONGEST.as_secs()),
        ("PTY_PORT", u64::from(pty::PTY.port.unwrap())),
        ("TERMINAL_WINDOW", u64::from(pty::TERMINAL_WINDOW)),
        ("COMMAND_WINDOW", u64::from(pty::COMMAND_WINDOW)),
        ("TERMINAL_GRANT", u64::from(pty::TERMINAL_GRANT)),
        ("MAX_COMMAND_LEN", u64::from(pty::MAX_COMMAND_LEN)),
        ("MAX_PAD_LEN", pty::MAX_PAD_LEN as u64),
        ("MAX_MODES", keywire::modes::MAX_MODES as u64),
        ("MAX_NAME_LEN", pty::MAX_NAME_LEN as u64),
        ("MAX_REASON_LEN", pty::MAX_REASON_LEN as u64),
        ("HASH_LEN", copy::HASH_LEN as u64),
        ("MAX_ASKED", copy::MAX_ASKED as u64),
        ("MAX_DEPTH", copy::MAX_DEPTH as u64),
        ("MAX_PATH_LEN", root::MAX_PATH_LEN as u64),
        ("MAX_TEXT_LEN", copy::MAX_TEXT_LEN as u64),
        ("WINDOW", copy::WINDOW),
        ("CHAT_PORT", u64::from(chat::CHAT.port.unwrap())),
        ("MAX_ENVELOPE_LEN", chat::MAX_ENVELOPE_LEN as u64),
        ("MAX_ID_LEN", chat::MAX_ID_LEN as u64),
        ("PAIR_LEN", ratchet::PAIR_LEN as u64),
        ("EPOCH_MESSAGES", ratchet::EPOCH_MESSAGES),
        ("EPOCH_SECONDS", ratchet::EPOCH_SECONDS),
        ("RECONNECT_SECONDS", ratchet::RECONNECT_SECONDS),
        ("MAX_SKIPPED", ratchet::MAX_SKIPPED as u64),
        ("MAX_OLD_EPOCHS", ratchet::MAX_OLD_EPOCHS as u64),
        ("GROUP_PORT", u64::from(GROUP.port.unwrap())),
        ("MAX_MESSAGE_LEN", message::MAX_MESSAGE_LEN as u64),
        ("MAX_BODY", entry::MAX_BODY as u64),
        ("MAX_DEPS", entry::MAX_DEPS as u64),
        ("MAX_MEMBERS", MAX_MEMBERS as u64),
        ("MAX_JOINT", keywire::group::keys::MAX_JOINT as u64),
        ("MAX_LINK_LEN", link::MAX_LINK_LEN as u64),
        ("MAX_PEERS", link::MAX_PEERS as u64),
        ("SIGNATURE_LEN", sign::SIGNATURE_LEN as u64),
        ("INBOX_PORT", u64::from(INBOX.port.unwrap())),
        ("MAX_HELD", MAX_HELD as u64),
        ("MAX_USES", MAX_USES as u64),
        ("MAX_DELIVERY_ADDRESSES", MAX_DELIVERY_ADDRESSES as u64),
        ("MAX_CARD_LEN", MAX_CARD_LEN as u64),
        ("MAX_SEALED_LEN", MAX_SEALED_LEN as u64),
        ("MAX_GREETING_LEN", MAX_GREETING_LEN as u64),
        ("MAX_NOTE_LEN", MAX_NOTE_LEN as u64),
        ("MOST_OF_A_KEY", dropbox::MOST_OF_A_KEY as u64),
    ];
    assert_eq!(page, BTreeMap::from(code));
    assert_eq!(ListenOptions::default().handshake_within, conn::HANDSHAKE_WITHIN);
    assert_eq!(pipe::PIPE.port, None);
}

#[test]
fn the_text_of_the_page_has_the_numbers_of_its_list() {
    let said = [
        ("KEYS", vec!["61 characters".to_owned(), "The public key is 32 bytes".to_owned()]),
        (
            "ADDRESSES",
            vec![format!(
                "{} for pty, {} for chat, {} for group, {} for inbox,\nnone",
                pty::PTY.port.unwrap(),
                chat::CHAT.port.unwrap(),
                GROUP.port.unwrap(),
                INBOX.port.unwrap()
            )],
        ),
        ("CONNECTION", vec!["lets 128 connections".to_owned(), "lets 16 of one source".to_owned()]),
        (
            "HANDSHAKE",
            vec![
                format!(".It I1 Ta {} bytes", noise::I1_LEN),
                format!(".It I2 Ta {} bytes", noise::I2_LEN),
                format!(".It I3 Ta {} to {} bytes", noise::I3_OVERHEAD, noise::I3_OVERHEAD + noise::MAX_REQUEST_LEN),
                format!("at most {} bytes of JSON", noise::MAX_REQUEST_LEN),
                format!(".Fn set_psk {}", noise::PSK_LOCATION),
                format!(".It 1 Ta {}\n", Preface::new(Suite::AesGcm).protocol_name()),
                format!(".It 2 Ta {}\n", Preface::new(Suite::ChaChaPoly).protocol_name()),
                "the 7 bytes 6b657977697265".to_owned(),
            ],
        ),
        (
            "RECORDS",
            vec![
                format!("{} to {};", TAG_LEN + 1, frame::MAX_FRAME_LEN),
                format!("0 to {} bytes", record::MAX_BODY_LEN),
                format!("whose number is {}", record::REKEY_EVERY),
                format!("no record for {} seconds", conn::KEEPALIVE.as_secs()),
                format!("After {} seconds", (conn::KEEPALIVE * conn::KEEPALIVE_MISSED).as_secs()),
            ],
        ),
        ("PTY", vec![pty::TERMINAL_WINDOW.to_string(), format!("else {}", pty::COMMAND_WINDOW)]),
        (
            "COPY",
            vec![
                format!("A path has at most {} bytes", root::MAX_PATH_LEN),
                format!("A name has at most {}", root::MAX_NAME_LEN),
                format!("at most {} SOURCE and EXCLUDE", copy::MAX_ASKED),
                format!("never more than {} items ahead", copy::WINDOW),
                format!("BLAKE3 with {} bytes", copy::HASH_LEN),
            ],
        ),
        (
            "CHAT",
            vec![
                format!("Its port is {}", chat::CHAT.port.unwrap()),
                format!("at most {} bytes.", chat::MAX_ENVELOPE_LEN),
                format!("1 to {}\nletters", chat::MAX_ID_LEN),
                format!("at most {} texts", MAX_ADDRESSES),
                format!("the first {} bytes of h", ratchet::PAIR_LEN),
                format!("at most {} bytes of UTF-8", chat::MAX_TEXT_LEN),
                format!("kept, {} over all epochs", ratchet::MAX_SKIPPED),
                format!("more than {} beyond the next", ratchet::MAX_SKIPPED),
                format!("wiped; {} older ones", ratchet::MAX_OLD_EPOCHS),
                format!("after {} messages in the newest", ratchet::EPOCH_MESSAGES),
                format!("{} hours after it began", ratchet::EPOCH_SECONDS / 3600),
                format!("{} minutes\nafter it began", ratchet::RECONNECT_SECONDS / 60),
                format!("for {} days", keywire::pair::INVITE_LIFE.as_secs() / 86400),
            ],
        ),
        (
            "GROUP",
            vec![
                format!("Its port is {}", GROUP.port.unwrap()),
                format!("A message has at most {} bytes", message::MAX_MESSAGE_LEN),
                format!("how many follow, at most {}", entry::MAX_DEPS),
                format!("bytes of the body, at most {}\n", entry::MAX_BODY),
                format!("is UTF-8, at most {} bytes", keywire::proto::group::MAX_TEXT_LEN),
                format!("at most {} texts\n.Ql HOST:PORT", keywire::proto::group::MAX_ADDRESSES),
                format!("are used,\nat most {}.", keywire::group::keys::MAX_JOINT),
                format!("at most {} characters in all", link::MAX_LINK_LEN),
                format!("at most {MAX_NAME_LEN} characters."),
                format!("At most {} texts", link::MAX_PEERS),
                format!("{} random bytes.\n.It Va key", link::SECRET_LEN),
                format!("less than {MAX_MEMBERS} members"),
                format!("a name has 1 to {MAX_NAME_LEN} characters"),
            ],
        ),
        (
            "INBOX",
            vec![
                format!("Its port is {}", INBOX.port.unwrap()),
                format!("at most {} that differ", dropbox::MOST_OF_A_KEY),
                format!("of one recipient at most {MAX_HELD} with at most {} bytes", dropbox::MOST_BYTES),
                format!("each for {} days", dropbox::HELD_FOR.as_secs() / 86_400),
                format!("takes {} connections at once and {} of one source", door::STRANGERS, door::MOST_OF_ONE),
                format!("may last {} seconds and bring {} records", door::STRANGERS_STAY.as_secs(), door::MOST_RECORDS),
                format!("may have {} connections at once", door::MOST_OF_ONE),
            ],
        ),
    ];
    for (name, phrases) in said {
        let section = section(name);
        for phrase in phrases {
            assert!(section.contains(&phrase), "{phrase:?} is not in the section {name}");
        }
    }
    let prologue = Preface::new(Suite::ChaChaPoly).prologue("pty");
    assert_eq!(prologue, [&b"keywire"[..], &[1, 2], b"pty"].concat());
}

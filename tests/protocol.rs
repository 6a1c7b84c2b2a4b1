//! keywire-protocol(7) is the truth about the wire: its tables, numbers and examples are compared with the library.

mod group;
mod inbox;

use crate::hostile::chat::one_of_each;
use keywire::conn::{self, Limits, ListenOptions, Reason, Record, kind};
use keywire::inbox::{door, dropbox};
use keywire::noise::{self, Preface};
use keywire::proto::chat::Why;
use keywire::proto::group::{GROUP, MAX_MEMBERS, MAX_NAME_LEN, entry, link, message};
use keywire::proto::inbox::{
    INBOX, MAX_CARD_LEN, MAX_DELIVERY_ADDRESSES, MAX_GREETING_LEN, MAX_HELD, MAX_NOTE_LEN, MAX_SEALED_LEN, MAX_USES,
};
use keywire::proto::{chat, copy, pipe, pty};
use keywire::ratchet;
use keywire::seal::{CIPHER_KEY_LEN, Suite, TAG_LEN};
use keywire::trust::MAX_ADDRESSES;
use keywire::{addr, frame, json, key, record, root, sign};
use std::collections::BTreeMap;
use std::path::Path;

/// A row of a table: type or code, name, body or meaning.
type Row = (String, String, String);

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The page's section `name`, up to the next one.
fn section(name: &str) -> String {
    let page = read("man/keywire-protocol.7");
    let rest = page.split_once(&format!("\n.Sh {name}\n")).unwrap_or_else(|| panic!("no section {name}")).1;
    rest.split("\n.Sh ").next().unwrap().to_owned()
}

/// The rows `.It TYPE Ta NAME Ta` of a section, whose last cell is on the lines below.
fn rows_of_page(name: &str) -> Vec<Row> {
    let section = section(name);
    let lines: Vec<&str> = section.lines().collect();
    let row = |(at, line): (usize, &&str)| {
        let (number, name) = line.strip_prefix(".It ")?.strip_suffix(" Ta")?.split_once(" Ta ")?;
        let body: Vec<&str> = lines[at + 1..].iter().take_while(|line| !line.starts_with('.')).copied().collect();
        Some((number.to_owned(), name.to_owned(), body.join(" ")))
    };
    lines.iter().enumerate().filter_map(row).collect()
}

/// The rows of the doc tables of a source file: `/// | 0x01 | `NAME` | body |`; of a folder those of its files.
fn rows_of_source(file: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if path.is_dir() {
        let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
        let files = files.filter(|entry| entry.file_type().unwrap().is_file());
        return files
            .flat_map(|entry| rows_of_source(&format!("{file}/{}", entry.file_name().into_string().unwrap())))
            .collect();
    }
    let row = |line: &str| {
        let cells = line.trim_start().strip_prefix("/// | ")?.strip_suffix(" |")?;
        let mut cells = cells.splitn(3, " | ").map(|cell| cell.trim().trim_matches('`').to_owned());
        let row = (cells.next()?, cells.next()?, cells.next()?);
        row.0.starts_with(|first: char| first.is_ascii_digit()).then_some(row)
    };
    read(file).lines().filter_map(row).collect()
}

fn number(text: &str) -> u8 {
    text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u8::from_str_radix(hex, 16)).unwrap()
}

#[test]
fn the_tables_of_the_page_are_those_of_the_source() {
    assert_eq!(rows_of_page("RECORDS"), rows_of_source("lib/conn/mod.rs"));
    let services = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/proto")).unwrap();
    let mut compared = 0;
    for service in services.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let rows = rows_of_source(&format!("lib/proto/{service}"));
        if !rows.is_empty() {
            assert_eq!(rows_of_page(&service.trim_end_matches(".rs").to_uppercase()), rows);
            compared += 1;
        }
    }
    assert!(compared >= 2);
}

#[test]
fn the_shared_types_and_codes_of_the_tables_are_the_ones_in_the_code() {
    let rows = rows_of_source("lib/conn/mod.rs");
    let found: BTreeMap<&str, u8> = rows.iter().map(|(at, name, _)| (name.as_str(), number(at))).collect();
    let code = [
        ("PING", kind::PING),
        ("PONG", kind::PONG),
        ("ERROR", kind::ERROR),
        ("CLOSE", kind::CLOSE),
        ("REFUSED", Reason::Refused.code()),
        ("BAD_REQUEST", Reason::BadRequest.code()),
        ("UNAVAILABLE", Reason::Unavailable.code()),
        ("SHUTTING_DOWN", Reason::ShuttingDown.code()),
    ];
    assert_eq!(found, BTreeMap::from(code));
    let own = format!("Types below {:#04X} are the service's own", kind::SHARED);
    assert!(section("RECORDS").contains(&own), "{own}");
}

/// The name of the message that `decode` makes of some body of the type `kind`, in capitals; none if no body will do.
fn understood(kind: u8, decode: impl Fn(&Record<'_>) -> Option<String>) -> Option<String> {
    let one = 1_u64.to_be_bytes();
    let bodies: [&[u8]; 11] =
        [b"", b"x", &[0; 4], &[1; 5], &[0, 7], &[1, b'K'], &[0; 8], &one, &[0; 14], &[0; 16], &[0; 32]];
    let message = bodies.iter().find_map(|body| decode(&Record { kind, body }))?;
    Some(message.split('(').next().unwrap().to_uppercase())
}

#[test]
fn every_type_in_a_table_is_understood_and_no_other() {
    type Decode = fn(&Record<'_>) -> Option<String>;
    let dialer: Decode = |record| pty::FromDialer::decode(record).ok().map(|message| format!("{message:?}"));
    let host: Decode = |record| pty::FromHost::decode(record).ok().map(|message| format!("{message:?}"));
    let asked: Decode = |record| copy::Asked::decode(record).ok().map(|message| format!("{message:?}"));
    let sender: Decode = |record| copy::FromSender::decode(record).ok().map(|message| format!("{message:?}"));
    let receiver: Decode = |record| copy::FromReceiver::decode(record).ok().map(|message| format!("{message:?}"));
    let either: Decode = |record| pipe::Message::decode(record).ok().map(|message| format!("{message:?}"));
    let decoders = [
        ("lib/proto/pty.rs", 0x00..0x10, dialer),
        ("lib/proto/pty.rs", 0x10..0x20, host),
        ("lib/proto/pipe.rs", 0x00..0xff, either),
        ("lib/proto/copy.rs", 0x00..0x10, asked),
        ("lib/proto/copy.rs", 0x10..0x20, sender),
        ("lib/proto/copy.rs", 0x20..0x30, receiver),
    ];
    for (file, types, decode) in decoders {
        let rows: Vec<Row> = rows_of_source(file).into_iter().filter(|(at, ..)| types.contains(&number(at))).collect();
        let listed: BTreeMap<u8, String> = rows.into_iter().map(|(at, name, _)| (number(&at), name)).collect();
        let known: BTreeMap<u8, String> =
            (0..=u8::MAX).filter_map(|kind| Some((kind, understood(kind, decode)?))).collect();
        assert_eq!(known, listed);
    }
}

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

/// The type of something that is written in JSON, and its other fields.
type Fields = (String, Vec<String>);

/// The list `.It Ql TYPE Pq Va FIELD , FIELD` of a part of a section.
fn fields_of_page(name: &str, part: &str) -> Vec<Fields> {
    let section = section(name);
    let part = section.split(&format!("\n.Ss {part}\n")).nth(1).unwrap().split("\n.Ss ").next().unwrap();
    let item = |line: &str| {
        let (name, fields) = line.split_once(" Pq Va ").unwrap_or((line, ""));
        let fields = fields.split(" , ").filter(|field| !field.is_empty()).map(str::to_owned);
        (name.to_owned(), fields.collect())
    };
    part.lines().filter_map(|line| line.strip_prefix(".It Ql ")).map(item).collect()
}

/// The same of what the code writes, in the order in which it does.
fn fields_of_text(text: &str) -> Fields {
    let value: json::Value = json::parse(text.as_bytes(), text.len()).unwrap();
    let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    fields.retain(|field| field != "type");
    fields.sort_by_key(|field| text.find(&format!("\"{field}\":")));
    (value["type"].as_str().unwrap().to_owned(), fields)
}

#[test]
fn the_envelopes_on_the_page_are_those_of_the_code_with_their_fields() {
    let texts = one_of_each().into_iter().map(|envelope| String::from_utf8(envelope.encode().unwrap()).unwrap());
    let code: Vec<Fields> = texts.map(|text| fields_of_text(&text)).collect();
    assert_eq!(fields_of_page("CHAT", "Envelopes"), code);
    let source = read("lib/proto/chat.rs");
    let named = source.lines().filter_map(|line| line.trim().strip_prefix("#[serde(rename = \"")?.strip_suffix("\")]"));
    assert_eq!(named.collect::<Vec<_>>(), code.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let section = section("CHAT");
    for why in [Why::NoKey, Why::Used, Why::Damaged, Why::Full, Why::Unavailable] {
        let name = json::line(&why).unwrap();
        assert!(section.contains(&format!("\n.Ql {} ,\n", name.trim_matches('"'))), "{name}");
    }
}

/// Compares the values that a page shows below `title` with those of a vector, which are named by their paths in it.
fn worked(name: &str, title: &str, vectors: &str) {
    let vectors = read(vectors);
    let vectors: json::Value = json::parse(vectors.as_bytes(), vectors.len()).unwrap();
    let section = section(name);
    let block = section.split(&format!("\n.Ss {title}\n")).nth(1).unwrap();
    let block = block.split(".Bd -literal -offset indent\n").nth(1).unwrap().split(".Ed").next().unwrap();
    let mut shown: Vec<(&str, String)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("    ") {
            Some(more) => shown.last_mut().unwrap().1.push_str(more),
            None => shown.push((line, String::new())),
        }
    }
    for (path, shown) in &shown {
        let value = path.split('.').fold(&vectors, |value, name| match name.parse::<usize>() {
            Ok(at) => &value[at],
            Err(_) => &value[name],
        });
        let whole = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(*shown, whole, "{path}");
    }
    assert!(shown.len() > 10, "{} values", shown.len());
}

#[test]
fn the_worked_pairing_on_the_page_is_the_vector() {
    worked("CHAT", "A worked pairing", "tests/vectors/chat.json");
}

#[test]
fn the_key_on_the_page_is_written_as_the_code_writes_it() {
    let section = section("KEYS");
    let mut keys = section.lines().filter(|line| line.len() > 60 && !line.contains(' '));
    let bytes = data_encoding::HEXLOWER.decode(keys.next().unwrap().as_bytes()).unwrap();
    assert_eq!(key::PublicKey::from_bytes(&bytes).unwrap().to_string(), keys.next().unwrap());
    for low in keys {
        let bytes = data_encoding::HEXLOWER.decode(low.as_bytes()).unwrap();
        assert!(key::PublicKey::from_bytes(&bytes).is_err(), "{low}");
    }
}

#[test]
fn the_requests_on_the_page_are_requests() {
    for section in [section("PTY"), section("COPY")] {
        let example = section.split("For example:").nth(1).unwrap().split(".Ed").next().unwrap();
        let example = example.lines().filter(|line| !line.starts_with('.')).collect::<Vec<_>>().join(" ");
        for rest in example.split("{\"op\"").skip(1) {
            let request = format!("{{\"op\"{}", rest.trim());
            pty::Request::decode(request.as_bytes()).unwrap_or_else(|error| panic!("{request}: {error}"));
        }
    }
}

#[test]
fn the_worked_handshake_on_the_page_is_the_vector() {
    let vectors = read("tests/vectors/handshake.json");
    let vectors: json::Value = json::parse(vectors.as_bytes(), vectors.len()).unwrap();
    let section = section("A WORKED HANDSHAKE");
    let mut compared = 0;
    for (at, part) in section.split("\n.Ss ").skip(1).enumerate() {
        let values = if at == 0 { &vectors["keys"] } else { &vectors["suites"][at - 1] };
        let block = part.split(".Bd -literal -offset indent\n").nth(1).unwrap().split(".Ed").next().unwrap();
        let mut shown: Vec<(&str, String)> = Vec::new();
        for line in block.lines() {
            match line.strip_prefix("    ") {
                Some(more) => shown.last_mut().unwrap().1.push_str(more),
                None => shown.push((line, String::new())),
            }
        }
        for (name, shown) in shown {
            let whole = match name.split_once(' ') {
                Some((from, number)) => {
                    let number: u64 = number.parse().unwrap();
                    let mut records = values["records"].as_array().unwrap().iter();
                    let it = |one: &&json::Value| one["from"] == from && one["number"] == number;
                    &records.find(it).unwrap_or_else(|| panic!("no record {name}"))["wire"]
                }
                None => &values[name],
            };
            let whole = whole.as_str().unwrap_or_else(|| panic!("no value {name}"));
            let same = match shown.split_once("...") {
                Some((begin, end)) => !begin.is_empty() && whole.starts_with(begin) && whole.ends_with(end),
                None => whole == shown,
            };
            assert!(same, "{name}: {shown} on the page, {whole} in the vector");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} values");
}

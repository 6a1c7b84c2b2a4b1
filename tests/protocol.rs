//! keywire-protocol(7) is the truth about the wire: its tables, numbers and examples are compared with the library.

mod group;
mod inbox;
mod numbers;

use crate::hostile::chat::one_of_each;
use keywire::conn::{Reason, Record, kind};
use keywire::proto::chat::Why;
use keywire::proto::{copy, pipe, pty};
use keywire::{json, key};
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

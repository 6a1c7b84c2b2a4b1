//! `card`, `show`, `cards`, `revoke`: what others need to write to us, and what becomes of it.

use crate::args::{self, Card, Cards, Revoke};
use crate::show::{Show, notice, notices};
use crate::{drop_box, inbox, read};
use keywire::addr::PeerAddr;
use keywire::chat::Config;
use keywire::error::{Error, Result};
use keywire::fingerprint;
use keywire::identity::IdentityFile;
use keywire::inbox::{MAX_LIFE, Wish};
use keywire::key::PublicKey;
use keywire::picture;
use keywire::proto::inbox::{self as proto, Address, Rki};
use keywire::qr;
use keywire::store::Store;
use keywire::trust::{Peers, Time};
use std::path::Path;
use std::time::SystemTime;

pub(crate) fn card(args: &Card) -> Result<()> {
    refuse_drawing_in_json(args.json, args.qr)?;
    if !(1..=proto::MAX_USES).contains(&args.uses) {
        return Err(Error::usage(format!("--uses {}: a card has 1 to {} one-time keys", args.uses, proto::MAX_USES)));
    }
    let (store, own) = (Store::home()?, args.own());
    let addresses = addresses(&store, args)?;
    let me = own.load()?;
    if addresses.iter().any(|address| address.key == Some(me.public())) {
        return Err(Error::usage("--drop is for the key of another machine, and this is ours")
            .hint("--at says where we listen ourselves"));
    }
    let life = args.expires.unwrap_or(MAX_LIFE);
    let wish = Wish { label: args.label.clone(), life, uses: args.uses, addresses };
    let inbox = inbox(&store)?;
    let card = inbox.make_card(&me, wish)?;
    notices(&inbox);
    let keys: Vec<String> = card.keys().iter().map(|key| Rki::of(key).to_string()).collect();
    notice(&format!("{}, live until {}", one_time_keys(&keys), card.expires()));
    if card.addresses().is_empty() {
        notice("the card names no address: what is sealed to it must be handed over to us, and opened with 'open'");
    }
    let mut show = Show::new(&store, args.json)?;
    if args.json {
        show.card(&card, None)?;
    } else {
        show.lines(&card.to_string());
    }
    if args.qr {
        show.lines(&drawn(&card)?);
    }
    show.flush()
}

/// Where messages to the new card can be left; what the settings say if the command line says nothing.
fn addresses(store: &Store, args: &Card) -> Result<Vec<Address>> {
    let mut addresses: Vec<Address> = args.at.iter().cloned().map(|at| Address { key: None, at }).collect();
    if !args.drop.is_empty() {
        let peers = Peers::load(store)?;
        for who in &args.drop {
            let PeerAddr { key, at } = drop_box(&peers, who)?;
            addresses.push(Address { key: Some(key), at });
        }
    }
    if addresses.is_empty() {
        addresses = Config::load(store)?.inbox.addresses;
    }
    match addresses.len() {
        ..=proto::MAX_DELIVERY_ADDRESSES => Ok(addresses),
        count => {
            let most = proto::MAX_DELIVERY_ADDRESSES;
            Err(Error::usage(format!("{count} addresses are more than the {most} that a card has")))
        }
    }
}

pub(crate) fn show(args: &args::Show) -> Result<()> {
    refuse_drawing_in_json(args.json, args.qr || args.picture)?;
    let card = read::card(&args.file)?;
    let store = Store::home()?;
    let recipient = card.recipient();
    let own = own_key(args.identity.as_deref())?;
    let number = own.filter(|own| *own != recipient).map(|own| [own, recipient]);
    let in_time = card.check_time(Time::of(SystemTime::now()));
    let mut show = Show::new(&store, args.json)?;
    if args.json {
        let digits = number.map(|keys| fingerprint::digits(&keys).join(" "));
        show.card(&card, digits.as_deref())?;
    } else {
        let name = show.name(&recipient).map_or_else(String::new, |name| format!(" ({name})"));
        let keys: Vec<String> = card.keys().iter().map(|key| Rki::of(key).to_string()).collect();
        let mut rows = vec![
            ("recipient", format!("{recipient}{name}")),
            ("until", format!("{}{}", card.expires(), if in_time.is_err() { " (expired)" } else { "" })),
            ("keys", keys.join(" ")),
        ];
        rows.extend(
            card.addresses()
                .iter()
                .map(|address| (if address.key.is_some() { "drop" } else { "at" }, address.to_string())),
        );
        match (&number, own) {
            (Some(keys), _) => rows.extend(
                fingerprint::lines(keys)
                    .lines()
                    .enumerate()
                    .map(|(at, line)| (if at == 0 { "number" } else { "" }, line.to_owned())),
            ),
            (None, Some(_)) => rows.push(("ours", "this is a card of ours".to_owned())),
            (None, None) => notice("without a key of our own there is no number to compare: 'kw-keygen new' makes one"),
        }
        for (name, text) in rows {
            show.lines(&format!("{name:<9}  {text}"));
        }
    }
    if args.picture {
        show.lines(&picture::of(&recipient));
    }
    if args.qr {
        show.lines(&drawn(&card)?);
    }
    show.flush()?;
    in_time
}

/// Our key, if we have one; no passphrase is asked for.
fn own_key(file: Option<&Path>) -> Result<Option<PublicKey>> {
    let identity = IdentityFile::locate(file)?;
    match file {
        None if !identity.path().exists() => Ok(None),
        _ => identity.public().map(|(key, _)| Some(key)),
    }
}

/// The card as a QR code, in upper case: that takes 5.5 bits a character instead of 8 (alphanumeric mode).
fn drawn(card: &proto::Card) -> Result<String> {
    qr::of(&card.to_string().to_uppercase(), qr::coloured()).map_err(|error| {
        Error::new(error.kind(), "the card has more in it than a QR code holds")
            .hint("give it fewer --uses or addresses")
    })
}

fn refuse_drawing_in_json(is_json: bool, draws: bool) -> Result<()> {
    match is_json && draws {
        true => Err(Error::usage("--json goes with neither --picture nor --qr").hint("they are drawings for people")),
        false => Ok(()),
    }
}

pub(crate) fn cards(args: &Cards) -> Result<()> {
    let store = Store::home()?;
    let inbox = inbox(&store)?;
    let cards = inbox.cards()?;
    notices(&inbox);
    let mut show = Show::new(&store, args.json)?;
    show.keys(&cards)?;
    show.flush()
}

pub(crate) fn revoke(args: &Revoke) -> Result<()> {
    let inbox = inbox(&Store::home()?)?;
    let count = match (args.rki, args.all) {
        (Some(rki), false) => inbox.revoke(rki)?,
        (None, true) => inbox.revoke_all()?,
        (Some(_), true) => return Err(Error::usage("--all goes without an identifier")),
        (None, false) => {
            return Err(Error::usage("no one-time key is named").hint("'kw-inbox cards' shows them; --all means all"));
        }
    };
    notices(&inbox);
    notice(&match count {
        0 => "no one-time key is live".to_owned(),
        1 => "revoked 1 one-time key".to_owned(),
        count => format!("revoked {count} one-time keys"),
    });
    Ok(())
}

/// `keys`, and what they are.
fn one_time_keys(keys: &[String]) -> String {
    let word = if keys.len() == 1 { "one-time key" } else { "one-time keys" };
    format!("{word} {}", keys.join(" "))
}

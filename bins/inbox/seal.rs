//! `seal` and `send`: a first message to whoever has given us a card.

use crate::args::{Input, Own, Seal, Send};
use crate::show::notice;
use crate::{inbox, read};
use keywire::chat::Config;
use keywire::cli::{self, undash};
use keywire::error::{Error, Kind, Result};
use keywire::inbox::carry::{self, Delivered};
use keywire::inbox::{Greeting, Sealing};
use keywire::proto::inbox::{Card, SealedMessage};
use keywire::store::Store;
use keywire::trust::Names;

/// What shall be sealed, as it stands on the command line.
struct Wanted<'a> {
    text: Option<&'a str>,
    pair: bool,
}

pub(crate) fn seal(args: &Seal) -> Result<()> {
    let wanted = Wanted { text: args.text.as_deref(), pair: args.pair };
    wanted.check(&args.card)?;
    cli::print(&sealed_as(&read::card(&args.card)?, &wanted, &args.own())?.armour())
}

pub(crate) fn send(args: &Send) -> Result<()> {
    let wanted = Wanted { text: args.text.as_deref(), pair: args.pair };
    match &args.sealed {
        None => wanted.check(&args.card)?,
        Some(_) if wanted.text.is_some() || wanted.pair => {
            return Err(Error::usage("--sealed goes with neither --text nor --pair")
                .hint("what was sealed cannot be changed; without --sealed it is sealed now"));
        }
        Some(sealed) => refuse_two_stdins(args.card.is_stdin(), sealed.is_stdin())?,
    }
    let card = read::card(&args.card)?;
    // Before anything is sealed, and a one-time key counts as taken.
    carry::check(&card)?;
    let sealed = match &args.sealed {
        Some(sealed) => read::sealed(sealed)?,
        None => sealed_as(&card, &wanted, &args.own())?,
    };
    let lost =
        "what was sealed is gone; 'kw-inbox seal' into a file, and 'kw-inbox send --sealed' tries the same again";
    let delivered = cli::block_on(carry::deliver(&card, &sealed));
    let Delivered { at, is_same } = delivered.map_err(|error| match &args.sealed {
        None if matches!(error.kind(), Kind::Network | Kind::Unproven) => error.hint(lost),
        _ => error,
    })?;
    let mut names = Names::load(&Store::home()?)?;
    let recipient = card.recipient();
    let called = names.of(&recipient).map_or_else(|| recipient.short(), str::to_owned);
    let what = if at.key.is_some() { "held for" } else { "delivered to" };
    let before = if is_same { ", and opened before" } else { "" };
    cli::print(&format!("{what} {called} at {at}{before}\n"))
}

impl Wanted<'_> {
    /// Refuses what cannot be sealed to the card in `card`, whatever stands there.
    fn check(&self, card: &Input) -> Result<()> {
        if self.text.is_none() && !self.pair {
            return Err(
                Error::usage("there is nothing to seal").hint("--text TEXT says something, --pair invites to kw-chat")
            );
        }
        refuse_two_stdins(card.is_stdin(), self.text.is_some_and(|text| undash(text) == "-"))
    }
}

/// Seals what is `wanted`; says what the user should know.
fn sealed_as(card: &Card, wanted: &Wanted, own: &Own) -> Result<SealedMessage> {
    let text = wanted.text.map(read::message).transpose()?;
    let store = Store::home()?;
    let inbox = inbox(&store)?;
    let me = own.load()?;
    let answer_at = if wanted.pair { Config::load(&store)?.inbox.addresses } else { Vec::new() };
    if wanted.pair && answer_at.is_empty() {
        notice("config.json names no address for the answer: it can come over a connection of kw-chat only");
    }
    let Sealing { message, before } = inbox.seal(&me, card, &Greeting { text, pair: wanted.pair, answer_at })?;
    if let Some(before) = before {
        notice(&format!(
            "a message was sealed to this one-time key before, at {before}: only the one that arrives first is opened"
        ));
    }
    Ok(message)
}

fn refuse_two_stdins(one: bool, other: bool) -> Result<()> {
    match one && other {
        true => Err(Error::usage("standard input cannot be two things").hint("put one of them into a file")),
        false => Ok(()),
    }
}

//! `open`, `fetch` and `messages`: what was sealed to our cards.

use crate::args::{Fetch, Messages, Open};
use crate::show::{Show, notice, notices};
use crate::{NAME, drop_box, drop_boxes, inbox, read};
use keywire::cli;
use keywire::error::{Error, Kind, Result};
use keywire::inbox::{Opened, Outcome};
use keywire::store::Store;
use keywire::trust::Peers;
use std::cell::RefCell;
use std::future::pending;

pub(crate) fn open(args: &Open) -> Result<()> {
    let sealed = read::sealed(&args.file)?;
    let store = Store::home()?;
    let inbox = inbox(&store)?;
    // What cannot be opened is refused before anybody types a passphrase.
    inbox.check(&sealed)?;
    let me = args.own().load()?;
    let mut show = Show::new(&store, args.json)?;
    let mut own = None;
    for (id, outcome) in inbox.recover(&me)? {
        match id == sealed.id() {
            true => own = Some(outcome),
            false => told(&mut show, outcome)?,
        }
    }
    let outcome = own.map_or_else(|| inbox.unseal(&me, &sealed), Ok);
    notices(&inbox);
    just_opened(&mut show, &outcome??)
}

pub(crate) fn fetch(args: &Fetch) -> Result<()> {
    let store = Store::home()?;
    let inbox = inbox(&store)?;
    let me = args.own().load()?;
    let from = match args.peers.is_empty() {
        true => drop_boxes(&inbox, me.public(), &store)?,
        false => {
            let peers = Peers::load(&store)?;
            args.peers.iter().map(|who| drop_box(&peers, who)).collect::<Result<_>>()?
        }
    };
    let show = RefCell::new(Show::new(&store, args.json)?);
    let tell = |outcome: Outcome| told(&mut show.borrow_mut(), outcome);
    inbox.recover(&me)?.into_iter().try_for_each(|(_, outcome)| tell(outcome))?;
    let failed: RefCell<Option<Error>> = RefCell::default();
    // What one drop box cannot say, another can; the last failure is left to say at the end.
    let fail = |error: Error| {
        if let Some(before) = failed.borrow_mut().replace(error) {
            cli::report(NAME, &before);
        }
    };
    cli::block_on(async {
        for at in &from {
            match inbox.fetch(&me, at, tell, pending()).await {
                Err(error) if matches!(error.kind(), Kind::State | Kind::ClosedOutput) => return Err(error),
                Err(error) => fail(error),
                Ok(_) => {}
            }
        }
        for (peer, went) in inbox.answer(&me, None).await? {
            match show.borrow_mut().answered(&peer, went) {
                Ok(said) => notice(&said),
                Err(error) => fail(error),
            }
        }
        Ok(())
    })?;
    notices(&inbox);
    match failed.into_inner() {
        Some(error) => Err(error),
        None if from.is_empty() => Err(Error::no("no drop box is known: neither cards nor config.json name one")
            .hint("name one, or make a card with --drop")),
        None => Ok(()),
    }
}

/// Prints a message, or why it was not opened.
fn told(show: &mut Show, outcome: Outcome) -> Result<()> {
    match outcome {
        Ok(opened) => just_opened(show, &opened),
        Err(why) => {
            cli::report(NAME, &why.into());
            Ok(())
        }
    }
}

/// Prints a message, and what can be done about it.
fn just_opened(show: &mut Show, opened: &Opened) -> Result<()> {
    show.message(opened)?;
    show.flush()?;
    show.next_step(opened);
    Ok(())
}

pub(crate) fn messages(args: &Messages) -> Result<()> {
    let store = Store::home()?;
    let inbox = inbox(&store)?;
    let me = args.own().load()?;
    let found = inbox.messages(&me, args.count)?;
    notices(&inbox);
    let mut show = Show::new(&store, args.json)?;
    found.iter().try_for_each(|opened| show.message(opened))?;
    show.flush()
}

//! The commands that ask once and end.

use crate::NAME;
use crate::args::{
    Accept, Ask, Block, Decline, Dismiss, Export, History, Id, Invite, Own, PairList, Recv, Remove, Search, Send, Span,
    Status, Verify,
};
use crate::request::{Asking, Begin, Change, Input, Part, Receiving, Relation, Reply, Request, Sending};
use crate::show::{Form, Show};
use crate::whom::Known;
use crate::{call, exit};
use keywire::cli;
use keywire::error::{Error, Kind, Result};
use keywire::fingerprint;
use keywire::identity::IdentityFile;
use keywire::json::json;
use keywire::pair::{Pair, Pairs};
use keywire::qr;
use keywire::store::Store;
use keywire::table;
use keywire::talk::{End, Said};
use keywire::text::{Source, hand_over_lines};
use keywire::trust::{Peers, check_cursor, check_name, parse_past};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// The last messages that are shown if nobody says how many.
const LAST: usize = 100;

pub(crate) fn send(args: Send) -> Result<ExitCode> {
    let own = args.own();
    let (store, known) = known()?;
    let to = known.to(&args.peer, args.via.as_deref())?;
    let source = Source::of(args.text.as_deref())?;
    if args.id.is_some() && matches!(source, Source::Stdin { .. }) {
        return Err(Error::usage("--id goes with one message only").hint("write the text behind the peer"));
    }
    let request = Request::Send(Sending {
        to,
        id: id(args.id),
        reply_to: id(args.reply_to),
        ttl: args.ttl.map(seconds).transpose()?,
        wait: millis(args.wait.0),
        keep: !args.no_queue,
    });
    run(&store, &own, request, form(args.json), |to| feed(source, &to))
}

pub(crate) fn ask(args: Ask) -> Result<ExitCode> {
    let own = args.own();
    let (store, known) = known()?;
    let request = Request::Ask(Asking {
        to: known.to(&args.peer, args.via.as_deref())?,
        text: Source::of(args.text.as_deref())?.whole()?,
        id: id(args.id),
        reply_to: id(args.reply_to),
        wait: millis(args.timeout.0),
    });
    run(&store, &own, request, if args.json { Form::Json } else { Form::Text }, drop)
}

pub(crate) fn recv(args: Recv) -> Result<ExitCode> {
    let own = args.own();
    let (store, known) = known()?;
    let to = args.peer.as_deref().map(|peer| known.to(peer, args.via.as_deref())).transpose()?;
    if to.is_none() && args.via.is_some() {
        return Err(Error::usage("--via goes with a peer"));
    }
    let begin = match (args.since.as_deref(), &args.cursor) {
        (Some(since), _) => begin(since, to.is_some())?,
        (None, Some(_)) => Begin::Seq(0),
        (None, None) if args.timeout.is_none() && !args.follow => {
            return Err(Error::usage("from where on is not said").hint(
                "--cursor NAME goes on where it was, --since says when; --timeout or --follow wait for what comes",
            ));
        }
        (None, None) => Begin::Now,
    };
    if let Some(name) = &args.cursor {
        check_cursor(name)?;
    }
    let has_cursor = args.cursor.is_some();
    let request = Request::Receive(Receiving {
        peer: to.as_ref().map(|to| to.key),
        visit: to.map_or_else(|| known.reachable(), |to| vec![to]),
        cursor: args.cursor,
        begin,
        max: args.max,
        wait: args.timeout.map(|time| millis(time.0)),
        follow: args.follow,
    });
    let show = Show::new(&store, form(args.json))?;
    cli::block_on(converse(&store, &own, request, show, has_cursor, drop))
}

pub(crate) fn invite(args: &Invite) -> Result<ExitCode> {
    let (store, known) = known()?;
    let request = Request::Invite { to: known.to(&args.peer, args.via.as_deref())?, renew: args.renew };
    run(&store, &args.own(), request, form(args.json), drop)
}

pub(crate) fn accept(args: &Accept) -> Result<ExitCode> {
    args.name.as_deref().map_or(Ok(()), check_name)?;
    let (store, known) = known()?;
    let to = known.to(&args.peer, None)?;
    let key = to.key;
    let request = Request::Change { to, change: Change::Accept };
    let ended = run(&store, &args.own(), request, form(args.json), drop)?;
    if let (Some(name), true) = (&args.name, ended == ExitCode::SUCCESS) {
        // Where it can be dialed is known from now on only.
        let pairs = Pairs::load(&store)?;
        let addresses = pairs.get(&key).map(Pair::addresses).unwrap_or_default();
        let now = SystemTime::now();
        Peers::update(&store, |peers| peers.add(name, key, addresses, "", now).map(|_| ()))
            .map_err(|error| error.hint("the invite was accepted all the same"))?;
    }
    Ok(ended)
}

pub(crate) fn decline(args: &Decline) -> Result<ExitCode> {
    change(&args.peer, Change::Decline, &args.own(), args.json)
}

pub(crate) fn dismiss(args: &Dismiss) -> Result<ExitCode> {
    change(&args.peer, Change::Dismiss, &args.own(), args.json)
}

pub(crate) fn block(args: &Block) -> Result<ExitCode> {
    change(&args.peer, Change::Block, &args.own(), args.json)
}

pub(crate) fn remove(args: &Remove) -> Result<ExitCode> {
    change(&args.peer, Change::Remove, &args.own(), args.json)
}

fn change(peer: &str, change: Change, own: &Own, is_json: bool) -> Result<ExitCode> {
    let (store, known) = known()?;
    let request = Request::Change { to: known.to(peer, None)?, change };
    run(&store, own, request, form(is_json), drop)
}

pub(crate) fn list(args: &PairList) -> Result<()> {
    let (store, known) = known()?;
    let mut show = Show::new(&store, form(args.json))?;
    let relations = known.pairs.list().iter().map(|pair| Relation::of(pair.key, Some(pair)));
    if args.json {
        for relation in relations {
            show.relation(&relation)?;
        }
        return show.flush();
    }
    if known.pairs.list().is_empty() {
        cli::say("there is nobody yet; 'kw-chat pair invite PEER' asks somebody");
    }
    let rows: Vec<_> = relations
        .map(|relation| {
            let name = show.names().of(&relation.peer).unwrap_or("-").to_owned();
            let mut about = Vec::new();
            if let Some((from, expires)) = relation.pending {
                let from = from.map_or_else(|| "kw-inbox".to_owned(), |source| source.to_string());
                about.push(format!("from {from}  until {expires}"));
            }
            if relation.renews {
                about.push("asks for new keys".to_owned());
            }
            [name, relation.peer.to_string(), relation.standing, relation.since, about.join("  ")]
        })
        .collect();
    cli::print(&table::align(&rows))
}

pub(crate) fn verify(args: &Verify) -> Result<()> {
    let (store, known) = known()?;
    let peer = known.key_or_beginning(&args.peer)?;
    let (own, _) = IdentityFile::locate(args.identity.as_deref())?.public()?;
    if own == peer {
        return Err(Error::usage("that is our own key"));
    }
    let keys = [own, peer];
    let digits = fingerprint::digits(&keys);
    let mut show = Show::new(&store, form(args.json))?;
    if args.json {
        let name = show.names().of(&peer);
        let number = json!({ "event": "number", "key": own, "peer": peer, "name": name, "number": digits.join(" ") });
        show.object(&number)?;
        return show.flush();
    }
    let mut text = fingerprint::lines(&keys);
    if args.qr || std::io::stdout().is_terminal() {
        // Digits alone take the least room.
        text += &qr::of(&digits.concat(), qr::coloured())?;
    }
    cli::print(&text)
}

pub(crate) fn history(args: &History) -> Result<ExitCode> {
    let (store, known) = known()?;
    let begin = args.since.as_deref().map(|since| begin(since, true)).transpose()?;
    let most = args.count.or_else(|| begin.is_none().then_some(LAST));
    let request = Request::Read { peer: known.key_or_beginning(&args.peer)?, part: Part { begin, most } };
    run(&store, &args.own(), request, form(args.json), drop)
}

pub(crate) fn export(args: &Export) -> Result<ExitCode> {
    let (store, known) = known()?;
    let part = Part { begin: None, most: None };
    let request = Request::Read { peer: known.key_or_beginning(&args.peer)?, part };
    run(&store, &args.own(), request, Form::Json, drop)
}

pub(crate) fn search(args: Search) -> Result<ExitCode> {
    let (store, known) = known()?;
    let own = args.own();
    let request = Request::Search { peer: known.key_or_beginning(&args.peer)?, text: args.text };
    run(&store, &own, request, form(args.json), drop)
}

pub(crate) fn status(args: &Status) -> Result<ExitCode> {
    let store = Store::home()?;
    run(&store, &args.own(), Request::Status, form(args.json), drop)
}

/// Asks, with what `feed` says meanwhile, and shows the answers.
fn run(
    store: &Store,
    own: &Own,
    request: Request,
    form: Form,
    feed: impl FnOnce(Feeder) + std::marker::Send + 'static,
) -> Result<ExitCode> {
    let show = Show::new(store, form)?;
    cli::block_on(converse(store, own, request, show, false, feed))
}

async fn converse(
    store: &Store,
    own: &Own,
    request: Request,
    mut show: Show,
    has_cursor: bool,
    feed: impl FnOnce(Feeder) + std::marker::Send + 'static,
) -> Result<ExitCode> {
    let is_sending = matches!(request, Request::Send(_));
    let mut line = call::ask(store, own, request).await?;
    let (failed, failure) = std::sync::mpsc::channel();
    let feeder = Feeder { inputs: line.inputs.clone(), failed };
    // A thread of its own: nothing waits for standard input when everything else is done.
    let feeding = std::thread::Builder::new().spawn(move || feed(feeder));
    feeding.map_err(|cause| Error::state(format!("cannot start a thread: {cause}")))?;
    let mut end = None;
    while let Some(first) = line.replies.recv().await {
        let mut count = 0;
        let mut next = Some(first);
        while let Some(said) = next {
            match said {
                Said::Reply(reply) => {
                    show.reply(&reply)?;
                    count += usize::from(matches!(reply, Reply::Message(_)));
                }
                Said::End(last) => end = Some(last),
                Said::Alive => {}
            }
            next = line.replies.try_recv().ok();
        }
        match show.flush() {
            // What is sent is sent, whether anybody reads on or not.
            Err(error) if is_sending && error.kind() == Kind::ClosedOutput => {}
            flushed => flushed?,
        }
        if has_cursor && count > 0 {
            // Who hears it no more has ended, and says so.
            let _ = line.inputs.send(Input::Printed(count)).await;
        }
        if end.is_some() {
            break;
        }
    }
    let End { status, error } = end.ok_or_else(|| Error::state("the call ended without an answer"))?;
    if let Some(problem) = error {
        cli::report(NAME, &problem.into());
    }
    // One that still reads is not wanted any more.
    if let Ok(error) = failure.try_recv() {
        cli::report(NAME, &error);
        return Ok(ExitCode::from(exit::worse(status, exit::of(error.kind()))));
    }
    Ok(ExitCode::from(status))
}

/// Where the texts of a command go.
struct Feeder {
    inputs: mpsc::Sender<Input>,
    failed: std::sync::mpsc::Sender<Error>,
}

/// Says the texts of `source`, and the end.
fn feed(source: Source, to: &Feeder) {
    let fed = match source {
        // Nobody hears it only if everything has ended.
        Source::Argument(text) => {
            let _ = to.inputs.blocking_send(Input::Text(text));
            Ok(())
        }
        Source::Stdin { may_be_empty } => {
            // If nobody wants more, what became of the rest is said elsewhere.
            let take = |text| to.inputs.blocking_send(Input::Text(text)).is_ok();
            hand_over_lines(std::io::stdin().lock(), take, may_be_empty)
        }
    };
    // Known before the end is said: whoever hears the answer to that looks whether there was an error.
    if let Err(error) = fed {
        let _ = to.failed.send(error);
    }
    let _ = to.inputs.blocking_send(Input::End);
}

fn known() -> Result<(Store, Known)> {
    let store = Store::home()?;
    let known = Known::load(&store)?;
    Ok((store, known))
}

fn form(is_json: bool) -> Form {
    if is_json { Form::Json } else { Form::Line }
}

fn id(id: Option<Id>) -> Option<keywire::proto::chat::MessageId> {
    id.map(|Id(id)| id)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(Span(time): Span) -> Result<u64> {
    match time.as_secs() {
        0 => Err(Error::usage("--ttl is a second at least")),
        seconds => Ok(seconds),
    }
}

/// Where `--since` says to begin.
fn begin(since: &str, has_peer: bool) -> Result<Begin> {
    if let (Ok(seq), true) = (since.parse(), has_peer) {
        return Ok(Begin::Seq(seq));
    }
    if !since.is_empty() && since.bytes().all(|byte| byte.is_ascii_digit()) && has_peer {
        return Err(Error::usage(format!("{since} is beyond every place in a conversation")));
    }
    if !since.is_empty() && since.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::usage("a place in a conversation means nothing without a peer").hint("write a time: 12h"));
    }
    let past = parse_past(since, SystemTime::now())?;
    Ok(Begin::Time(millis(past.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())))
}

//! `listen`: the service that peers dial, and that the other commands work through.

use crate::NAME;
use crate::answer::House;
use crate::args::Listen;
use crate::call::{LISTEN, chat_dir, open, take};
use crate::hook;
use crate::inbox::Inbox;
use crate::request::{Begin, Relation};
use crate::show::{Form, Show};
use crate::whom::{Known, word};
use keywire::addr::HostPort;
use keywire::chat::{Chat, Engine, Event, Options, Pairing};
use keywire::cli;
use keywire::conn::{ListenOptions, Listener};
use keywire::control::{Server, runs_already};
use keywire::error::{Error, Kind, Result};
use keywire::hook::Hook;
use keywire::json::json;
use keywire::key::PublicKey;
use keywire::pair::Standing;
use keywire::proto::chat::CHAT;
use keywire::store::Store;
use keywire::talk::gone;
use keywire::term::sanitize_line;
use keywire::threads::on_disk;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many messages are written at a time.
const BATCH: usize = 256;

pub(crate) fn listen(args: &Listen) -> Result<()> {
    let store = Store::home()?;
    let at: HostPort = args.listen.parse()?;
    let at = match (at.port(), CHAT.port) {
        (None, Some(port)) => at.with_port(port),
        _ => at,
    };
    let known = Known::load(&store)?;
    let only: Vec<PublicKey> = args.from.iter().map(|peer| known.key_or_beginning(peer)).collect::<Result<_>>()?;
    let hook = args.exec.as_deref().map(Hook::new).transpose()?;
    let chat = open(&store, &args.own())?;
    let form = if args.json { Form::Json } else { Form::Line };
    let show = Show::new(&store, form)?;
    cli::block_on_all(async {
        // Before the port is taken: whoever comes second shall hear of the first, and not of its port.
        let dir = chat_dir(&store);
        let server = Server::bind(&dir, LISTEN)?.ok_or_else(|| runs_already(&dir, LISTEN))?;
        let options = ListenOptions { allow_self: args.own().allow_self, ..ListenOptions::default() };
        let listener = Listener::bind(chat.me().clone(), &at, CHAT, options).await?;
        let address = listener.address()?.to_string();
        let stop = cli::asked_to_end()?;
        let engine = Engine::new(chat, Options { allow_self: args.own().allow_self, ..Options::default() });
        let house = House { engine, listening: Some(address) };
        serve(house, server, listener, only, hook, show, stop).await
    })
}

async fn serve(
    house: House,
    server: Server,
    listener: Listener,
    only: Vec<PublicKey>,
    hook: Option<Hook>,
    mut show: Show,
    stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let engine = house.engine.clone();
    let chat = engine.chat().clone();
    // All that looks at what happens looks from before the first peer can come.
    let events = engine.events();
    let inbox = Inbox::open(chat.clone(), only.clone(), Begin::Now, |_| Ok(0)).await?;
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    if let Some(hook) = hook {
        tasks.spawn(hook::run(hook, engine.clone(), only.clone(), stopped.clone()).await?);
    }
    announce(&house, &chat, &mut show)?;
    let mut printing = std::pin::pin!(print(events, inbox, engine.clone(), show));
    let mut serving = std::pin::pin!(engine.serve(listener, gone(stopped.clone())));
    let mut answering = std::pin::pin!(answer_calls(server, house, stopped));
    let mut stop = std::pin::pin!(stop);
    let ended = tokio::select! {
        () = &mut stop => Ok(()),
        ended = &mut printing => ended,
        ended = &mut answering => ended,
        ended = &mut serving => {
            engine.end().await;
            return ended;
        }
    };
    stopping.send_replace(true);
    let served = serving.await;
    let answered = answering.await;
    engine.end().await;
    // The hooks that run may end first.
    while tasks.join_next().await.is_some() {}
    match ended {
        Err(error) if error.kind() == Kind::ClosedOutput => Ok(()),
        ended => ended.and(served).and(answered),
    }
}

fn announce(house: &House, chat: &Chat, show: &mut Show) -> Result<()> {
    let address = house.listening.as_deref().unwrap_or_default();
    match show.is_json() {
        true => show.object(&json!({ "event": "listening", "address": address }))?,
        false => show.line(&format!("listening {address}")),
    }
    show.flush()?;
    if chat.config().pairing == Pairing::Open {
        notice(show, "PAIRING IS OPEN: the messages of everybody are taken, see config.json")?;
    }
    Ok(())
}

/// Takes the calls of commands.
async fn answer_calls(server: Server, house: House, stopped: watch::Receiver<bool>) -> Result<()> {
    let mut calls = JoinSet::new();
    let mut stop = std::pin::pin!(gone(stopped));
    loop {
        tokio::select! {
            call = server.accept() => {
                calls.spawn(take(house.clone(), call?));
            }
            Some(_) = calls.join_next() => {}
            () = &mut stop => return Ok(()),
        }
    }
}

/// Shows what happens.
async fn print(mut events: Receiver<Event>, mut inbox: Inbox, engine: Engine, mut show: Show) -> Result<()> {
    loop {
        let mut count = 0;
        while count < BATCH
            && let Some(entry) = inbox.next().await?
        {
            show.message(&entry)?;
            count += 1;
        }
        // A reader that is slow, or stopped, holds up nothing else: what is missed meanwhile is in the log.
        show = on_disk(move || show.flush().map(|()| show)).await?;
        if count == BATCH {
            continue;
        }
        match events.recv().await {
            Ok(event) => {
                inbox.take(&event);
                happened(&engine, &mut show, event).await?;
            }
            Err(RecvError::Lagged(_)) => inbox.look_again(),
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What happened besides messages.
async fn happened(engine: &Engine, show: &mut Show, event: Event) -> Result<()> {
    match event {
        Event::Message(_) => Ok(()),
        Event::Notice(text) => notice(show, &text),
        Event::Acked { peer, id } if show.is_json() => {
            let object = json!({ "event": "acked", "peer": peer, "name": show.names().of(&peer), "id": id });
            show.object(&object)
        }
        Event::Acked { .. } => Ok(()),
        Event::Pair { peer, standing } => {
            if show.is_json() {
                let chat = engine.chat().clone();
                let pairs = on_disk(move || chat.pairs()).await?;
                let relation = Relation { standing: word(standing).to_owned(), ..Relation::of(peer, pairs.get(&peer)) };
                return show.relation(&relation);
            }
            let name = show.names().called(&peer);
            cli::say(&format!("{NAME}: {}", changed(&name, standing)));
            if standing == Standing::Pending {
                cli::say(&format!("{NAME}: hint: kw-chat pair accept {name}, or decline, dismiss, block"));
            }
            Ok(())
        }
    }
}

fn changed(name: &str, standing: Standing) -> String {
    match standing {
        Standing::Pending => format!("{name} asks for consent"),
        Standing::Accepted { confirmed: true } => format!("paired with {name}"),
        Standing::DeclinedByPeer => format!("{name} has declined"),
        Standing::RemovedByPeer => format!("{name} has ended the pair"),
        other => format!("{name} is now: {}", word(other)),
    }
}

fn notice(show: &mut Show, text: &str) -> Result<()> {
    match show.is_json() {
        true => {
            show.object(&json!({ "event": "notice", "text": text }))?;
            show.flush()
        }
        false => {
            cli::report(NAME, &Error::no(sanitize_line(text)));
            Ok(())
        }
    }
}

use super::*;
use std::os::unix::net;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinHandle;

/// A directory of state, removed when the test ends.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        Dir::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Dir(parent.join(format!("keywire-control-{}-{count}", std::process::id())))
    }

    fn store(&self) -> Store {
        Store::at(&self.0)
    }

    fn serve(&self) -> Server {
        Server::bind(&self.store(), "s").unwrap().unwrap()
    }

    async fn dial(&self) -> Option<Call> {
        Call::dial(&self.store(), "s").await.unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Answers each call with what it says, until it says no more.
fn echo(server: Server) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(mut call) = server.accept().await {
            tokio::spawn(async move {
                while let Ok(Some(said)) = call.recv::<String>().await {
                    if call.send(&said).await.is_err() {
                        break;
                    }
                }
            });
        }
    })
}

async fn says(call: &mut Call, text: &str) -> String {
    call.send(text).await.unwrap();
    call.recv().await.unwrap().unwrap()
}

#[tokio::test]
async fn what_is_said_comes_whole_and_in_order_in_both_directions() {
    let dir = Dir::new();
    let _service = echo(dir.serve());
    let mut call = dir.dial().await.unwrap();
    for text in ["one", "", "two\nlines", "\u{1b}[2J\u{202e}", &"long".repeat(20_000)] {
        assert_eq!(says(&mut call, text).await, text);
    }
}

#[tokio::test]
async fn only_the_owner_may_open_the_socket_and_it_goes_with_the_service() {
    let dir = Dir::new();
    let server = dir.serve();
    let mode = |name: &str| std::fs::metadata(dir.0.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("s.sock"), mode(""), mode(".s.lock")), (0o600, 0o700, 0o600));
    drop(server);
    assert!(!dir.0.join("s.sock").exists());
    assert!(dir.dial().await.is_none());
}

#[tokio::test]
async fn where_nobody_runs_or_ever_ran_nobody_is_reached() {
    let dir = Dir::new();
    assert!(dir.dial().await.is_none());
    dir.store().make().unwrap();
    assert!(dir.dial().await.is_none());
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 0);
}

#[tokio::test]
async fn a_second_service_is_told_who_runs_and_the_first_goes_on() {
    let dir = Dir::new();
    let _service = echo(dir.serve());
    assert!(Server::bind(&dir.store(), "s").unwrap().is_none());
    let told = runs_already(&dir.store(), "s").to_string();
    assert_eq!(told, format!("'s' runs already, as process {}", std::process::id()));
    assert_eq!(says(&mut dir.dial().await.unwrap(), "here").await, "here");
}

#[tokio::test]
async fn the_socket_of_one_that_was_killed_is_nobody_and_is_replaced() {
    let dir = Dir::new();
    dir.store().make().unwrap();
    drop(net::UnixListener::bind(dir.0.join("s.sock")).unwrap());
    drop(net::UnixListener::bind(dir.0.join(".s.sock.new")).unwrap());
    std::fs::write(dir.0.join(".s.lock"), "4711\n").unwrap();
    assert!(dir.dial().await.is_none());
    let _service = echo(dir.serve());
    assert_eq!(says(&mut dir.dial().await.unwrap(), "anew").await, "anew");
}

#[tokio::test]
async fn one_that_holds_the_lock_and_does_not_answer_is_an_error_and_not_nobody() {
    let (stopped, beginning) = (Dir::new(), Dir::new());
    let _server = stopped.serve();
    beginning.store().make().unwrap();
    let _lock = beginning.store().hold(".s.lock").unwrap().unwrap();
    let (one, other) = (stopped.store(), beginning.store());
    let (one, other) = tokio::join!(Call::dial(&one, "s"), Call::dial(&other, "s"));
    for told in [one, other] {
        let told = told.map(|_| ()).unwrap_err().to_string();
        assert_eq!(told, format!("'s' does not answer, as process {}", std::process::id()));
    }
}

#[tokio::test]
async fn a_service_that_is_about_to_listen_is_waited_for() {
    let dir = Dir::new();
    dir.store().make().unwrap();
    let lock = dir.store().hold(".s.lock").unwrap().unwrap();
    let store = dir.store();
    let dialing = tokio::spawn(async move { Call::dial(&store, "s").await });
    tokio::task::yield_now().await;
    drop(lock);
    let _service = echo(dir.serve());
    // Between the two locks it may have looked and found nobody.
    assert!(matches!(dialing.await.unwrap(), Ok(Some(_) | None)));
    assert!(dir.dial().await.is_some());
}

#[tokio::test]
async fn a_call_that_a_service_did_not_take_before_it_ended_goes_to_the_next() {
    let dir = Dir::new();
    let store = dir.store();
    let server = dir.serve();
    let mut dialing = std::pin::pin!(Call::dial(&store, "s"));
    // It is connected, and does not know it yet.
    tokio::select! {
        biased;
        _ = &mut dialing => panic!("nobody has taken the call"),
        () = std::future::ready(()) => {}
    }
    drop(server);
    let _service = echo(dir.serve());
    assert_eq!(says(&mut dialing.await.unwrap().unwrap(), "hello").await, "hello");
}

#[tokio::test]
async fn garbage_and_half_a_line_end_one_call_and_no_other() {
    let dir = Dir::new();
    let server = dir.serve();
    for (said, told) in [
        (&b"\xff\x00GET / HTTP/1.1\r\n"[..], "not understood"),
        (b"{\"an\":\"object\"}\n", "not understood"),
        (b"\n", "not understood"),
        (b"\"half", "in the middle of a line"),
    ] {
        let mut foreign = net::UnixStream::connect(dir.0.join("s.sock")).unwrap();
        foreign.write_all(said).unwrap();
        foreign.shutdown(std::net::Shutdown::Write).unwrap();
        let mut call = server.accept().await.unwrap();
        let why = call.recv::<String>().await.unwrap_err().to_string();
        assert!(why.contains(told), "{why}");
    }
    // One that is gone before it is taken is no call at all.
    drop(net::UnixStream::connect(dir.0.join("s.sock")).unwrap());
    let _service = echo(server);
    assert_eq!(says(&mut dir.dial().await.unwrap(), "still here").await, "still here");
}

#[tokio::test]
async fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
    let dir = Dir::new();
    let server = dir.serve();
    let path = dir.0.join("s.sock");
    let flood = std::thread::spawn(move || {
        let mut foreign = net::UnixStream::connect(path).unwrap();
        let piece = [b'x'; 4096];
        (0..100_000).take_while(|_| foreign.write_all(&piece).is_ok()).count()
    });
    let mut call = server.accept().await.unwrap();
    let why = call.recv::<String>().await.unwrap_err().to_string();
    assert!(why.contains("longer than 1048576 bytes"), "{why}");
    drop(call);
    assert!(flood.join().unwrap() < 2000);
    let mut own = dir.serve_beside().await;
    assert!(own.send(&"x".repeat(MAX_LINE_LEN)).await.is_err());
}

#[tokio::test]
async fn a_future_that_is_lost_loses_nothing_of_what_was_said() {
    let dir = Dir::new();
    let server = dir.serve();
    let (call, accepted) = tokio::join!(dir.dial(), server.accept());
    let (mut call, mut accepted) = (call.unwrap(), accepted.unwrap());
    for number in 0..100_u32 {
        tokio::select! {
            biased;
            heard = accepted.recv::<u32>() => panic!("{heard:?} was never said"),
            () = std::future::ready(()) => {}
        }
        call.send(&number).await.unwrap();
        assert_eq!(accepted.recv::<u32>().await.unwrap(), Some(number));
    }
    drop(call);
    assert_eq!(accepted.recv::<u32>().await.unwrap(), None);
}

#[tokio::test]
async fn a_state_directory_longer_than_the_address_of_a_socket_works() {
    let long = Dir::new();
    long.store().make().unwrap();
    let deep = Dir(long.0.join("d".repeat(200)));
    let _service = echo(deep.serve());
    assert_eq!(says(&mut deep.dial().await.unwrap(), "deep").await, "deep");
}

impl Dir {
    /// A call to a service of its own.
    async fn serve_beside(&self) -> Call {
        let store = self.store();
        let server = Server::bind(&store, "beside").unwrap().unwrap();
        let (call, _) = tokio::join!(Call::dial(&store, "beside"), server.accept());
        call.unwrap().unwrap()
    }
}

//! Receivers that mean harm or are broken: each is given up in time, with little of what it sent kept.
//!
//! They speak raw TCP: no HTTP library would do what they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use trunkd::webhook::client::{Answer, Clients, MAX_ANSWER_BYTES, Request, SendError, Transport as _};
use trunkd::webhook::{Settings, UrlRules};

use crate::support::Site;

/// The whole attempt. The product's own is ten times as long, by the same code.
const ATTEMPT: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_millis(500);
/// What a client may have taken at most of a receiver that sends without end: what sockets hold, and one head.
const MOST_TAKEN: usize = 16 << 20;

/// What a receiver does with a connection.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// Takes the connection and never says a word.
    Hang,
    /// Never even takes it: its queue is full.
    Unheard,
    /// One byte of the head now and then.
    DripHead,
    /// A good head, then one byte of the body now and then.
    DripBody,
    /// A body that never ends, as fast as it goes.
    EndlessBody,
    /// A head that never ends, as fast as it goes.
    EndlessHead,
    /// One header line that never ends.
    EndlessLine,
    /// `100 Continue` again and again.
    EndlessContinue,
    /// Closes without a word.
    CloseEarly,
    /// Closes in the middle of the head.
    CloseInHead,
    /// Says that more comes than does.
    LieLonger,
    /// Says that less comes than does.
    LieShorter,
    /// Says two lengths.
    TwoLengths,
    /// What comes is no HTTP.
    Garbage,
    /// A chunk of no length that is a number.
    BadChunk,
    /// TLS is asked for and plain text comes.
    PlainForTls,
    /// TLS is asked for and nothing comes.
    SilentTls,
    /// TLS is asked for and its alert comes.
    AlertForTls,
}

use Harm::*;

const ALL: [Harm; 18] = [
    Hang,
    Unheard,
    DripHead,
    DripBody,
    EndlessBody,
    EndlessHead,
    EndlessLine,
    EndlessContinue,
    CloseEarly,
    CloseInHead,
    LieLonger,
    LieShorter,
    TwoLengths,
    Garbage,
    BadChunk,
    PlainForTls,
    SilentTls,
    AlertForTls,
];

impl Harm {
    fn scheme(self) -> &'static str {
        if matches!(self, PlainForTls | SilentTls | AlertForTls) { "https" } else { "http" }
    }

    /// The word that the attempt log must have for it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Hang | DripHead | EndlessContinue => &["timeout", "broken"],
            Unheard => &["connect"],
            DripBody | EndlessBody | LieLonger | LieShorter | BadChunk => &["delivered"],
            EndlessHead | EndlessLine | CloseEarly | CloseInHead | TwoLengths | Garbage => &["broken"],
            PlainForTls | SilentTls | AlertForTls => &["connect", "timeout"],
        }
    }
}

async fn serve(harm: Harm, mut stream: TcpStream, sent: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut first = [0; 4096];
    let read = stream.read(&mut first).await?;
    if read == 0 {
        return Ok(());
    }
    let ok = b"HTTP/1.1 200 OK\r\n";
    let said: &[u8] = match harm {
        Hang | Unheard | SilentTls => &[],
        DripHead | EndlessHead | EndlessLine => ok,
        DripBody => b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        EndlessBody => b"HTTP/1.1 200 OK\r\n\r\n",
        EndlessContinue => b"HTTP/1.1 100 Continue\r\n\r\n",
        CloseEarly => return Ok(()),
        CloseInHead => b"HTTP/1.1 200 OK\r\nContent-Le",
        LieLonger => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        LieShorter => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nmore than two",
        TwoLengths => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\nok",
        Garbage => b"\x00\xff\x1f SSH-2.0-go away\r\n\r\n",
        BadChunk => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
        PlainForTls => b"HTTP/1.1 400 Bad Request\r\n\r\n",
        AlertForTls => b"\x15\x03\x03\x00\x02\x02\x28",
    };
    stream.write_all(said).await?;
    let more: &[u8] = match harm {
        Hang | Unheard | SilentTls => return std::future::pending().await,
        DripHead => b"X",
        DripBody => b".",
        EndlessBody => &[b'.'; 8192],
        EndlessHead => &b"X-Header: and another one of so many\r\n".repeat(200),
        EndlessLine => &[b'A'; 8192],
        EndlessContinue => b"HTTP/1.1 100 Continue\r\n\r\n",
        _ => return stream.shutdown().await,
    };
    loop {
        stream.write_all(more).await?;
        sent.fetch_add(more.len(), Ordering::Relaxed);
        if matches!(harm, DripHead | DripBody | EndlessContinue) {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A receiver of one kind, where it is, and how much it could send.
async fn start(harm: Harm) -> (String, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let listener = match harm {
        Unheard => {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap()
        }
        _ => TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let mut queue = Vec::new();
    if let Unheard = harm {
        // Two connections fill the queue of one; who comes now hears nothing.
        for _ in 0..2 {
            queue.push(TcpStream::connect(address).await.unwrap());
        }
    }
    let task = tokio::spawn(async move {
        if !queue.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(harm, stream, Arc::clone(&counted)));
        }
    });
    (format!("{}://{address}/hook", harm.scheme()), sent, task)
}

fn settings() -> Settings {
    let url = UrlRules { allow_private: true, allow_http: true, ..UrlRules::default() };
    Settings { connect_timeout: CONNECT, attempt_timeout: ATTEMPT, url, ..Site::new().load().webhooks }
}

fn request(url: String) -> Request {
    Request {
        url,
        event_id: "evt_1".into(),
        timestamp_s: 1,
        signature: "v1,x".into(),
        body: Some("{}".into()),
    }
}

fn word(result: &Result<Answer, SendError>) -> &'static str {
    match result {
        Ok(answer) if answer.status == 200 => "delivered",
        Ok(_) => "answered",
        Err(error) => error.word(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_receiver_holds_an_attempt_longer_than_its_time_or_fills_the_memory() {
    let (_settings, watched) = watch::channel(settings());
    let clients = Arc::new(Clients::new(watched));
    clients.prepare().unwrap();
    let mut attempts = JoinSet::new();
    for harm in ALL {
        let (url, sent, _receiver) = start(harm).await;
        let clients = Arc::clone(&clients);
        attempts.spawn(async move {
            let started = Instant::now();
            let result = clients.send(request(url)).await;
            (harm, result, started.elapsed(), sent)
        });
    }
    let mut seen = 0;
    while let Some(done) = attempts.join_next().await {
        let (harm, result, took, sent) = done.unwrap();
        seen += 1;
        assert!(took < ATTEMPT + Duration::from_millis(500), "{harm:?} took {took:?}");
        assert!(harm.words().contains(&word(&result)), "{harm:?}: {result:?}");
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < MOST_TAKEN, "{harm:?} could send {sent} bytes");
        if let Ok(answer) = result {
            assert!(answer.body.len() <= MAX_ANSWER_BYTES, "{harm:?}");
            let whole = matches!(harm, LieShorter);
            assert_eq!(answer.cut.is_none(), whole, "{harm:?}: {:?}", answer.cut);
        }
    }
    assert_eq!(seen, ALL.len());
}

#[test]
fn the_times_that_hold_by_default() {
    let settings = Site::new().load().webhooks;
    assert!(settings.connect_timeout <= Duration::from_secs(5));
    assert!(settings.attempt_timeout <= Duration::from_secs(15));
    assert_eq!(MAX_ANSWER_BYTES, 16 << 10);
}

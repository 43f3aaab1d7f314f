//! The HTTP API, asked over real connections of a whole daemon over a real database.

mod access;
mod application;
mod calls;
mod conditions;
mod document;
mod hostile;
mod life;
mod live;
mod rates;
mod repeat;
mod trouble;
mod webhooks;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use trunkd::app::Daemon;

use crate::daemon::start;
use crate::support::Site;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    /// `Null` if it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn etag(&self) -> &str {
        self.header("etag")
    }

    /// The faults as `pointer code`, in order.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = self.body["errors"].as_array().into_iter().flatten();
        faults.map(|fault| format!("{} {}", text(&fault["pointer"]), text(&fault["code"]))).collect()
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A refusal of this status and code, in the form that every one has.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Answer {
        assert_eq!((self.status, text(&self.body["code"])), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(text(&self.body["requestId"]), self.header("x-request-id"));
        for member in ["type", "title", "detail"] {
            assert!(!text(&self.body[member]).is_empty(), "{member}: {}", self.text);
        }
        self
    }
}

/// A text of an answer.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    base: String,
    pub(crate) token: String,
}

impl Caller {
    pub(crate) fn new(daemon: &Daemon, token: &str) -> Caller {
        Caller::at(&daemon.address.to_string(), token)
    }

    pub(crate) fn at(address: &str, token: &str) -> Caller {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Caller { http, base: format!("http://{address}"), token: token.to_owned() }
    }

    /// Another one at the same daemon.
    pub(crate) fn with_token(&self, token: &str) -> Caller {
        Caller { token: token.to_owned(), ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(with_json(self.request(Method::POST, path), &body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(with_json(self.request(Method::PATCH, path), &body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Makes a thing and answers its path and what was answered.
    pub(crate) async fn make(&self, path: &str, body: Value) -> (String, Answer) {
        let answer = self.post(path, body).await.expect(201);
        (answer.header("location").to_owned(), answer)
    }

    /// Makes an account and answers its id.
    pub(crate) async fn account(&self, name: &str) -> String {
        text(&self.make("/v1/accounts", json!({"name": name})).await.1.body["accountId"]).to_owned()
    }

    /// Makes an account with a token for it.
    pub(crate) async fn tenant(&self, name: &str) -> (String, Caller) {
        let account = self.account(name).await;
        let made =
            self.post("/v1/tokens", json!({"scope": "account", "accountId": account})).await.expect(201);
        (account, self.with_token(text(&made.body["token"])))
    }
}

/// A request with this body.
pub(crate) fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// The first token, as the first start has written it.
pub(crate) fn admin_token(site: &Site) -> String {
    let path = site.database().with_file_name(trunkd::api::ADMIN_TOKEN);
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// A daemon without any trunk, and its administrator.
pub(crate) async fn daemon() -> (Site, Daemon, Caller) {
    let site = Site::new();
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    (site, daemon, admin)
}

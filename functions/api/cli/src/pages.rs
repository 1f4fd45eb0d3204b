//! Listings: as many pages as are wanted, and who is meant by a name.

use api::wire::{Worker, Workers};
use app::ports::{Clock, Ids};
use domain::WorkerId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::{Client, Request, decode};
use crate::failure::Failure;

/// A page of any listing, its items as the API wrote them.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    items: Vec<Box<RawValue>>,
    next: Option<String>,
}

/// What a listing has, of all pages that were asked for.
#[derive(Debug)]
pub(crate) struct Listing {
    /// All of it as one page.
    pub(crate) json: String,
    /// The items, each as the API wrote it.
    pub(crate) items: Vec<Box<RawValue>>,
    /// Whether there is more.
    pub(crate) more: bool,
}

impl Listing {
    /// The items as what they are.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, Failure> {
        self.items.iter().map(|item| decode(item.get())).collect()
    }
}

/// How much of a listing is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// The most items; `None` for all.
    pub(crate) most: Option<usize>,
    /// The most one page may have.
    pub(crate) page: usize,
}

/// Reads a listing. A page may be short, even empty, and still have a next one.
pub(crate) async fn listing<'a, O: Clock + Ids>(
    client: &Client<'_, O>,
    extent: Extent,
    request: impl Fn() -> Request<'a>,
) -> Result<Listing, Failure> {
    listing_to(client, extent, request, |_| Ok(false)).await
}

/// Reads a listing up to the page that ends with an item that is far enough.
pub(crate) async fn listing_to<'a, O: Clock + Ids>(
    client: &Client<'_, O>,
    extent: Extent,
    request: impl Fn() -> Request<'a>,
    is_far_enough: impl Fn(&RawValue) -> Result<bool, Failure>,
) -> Result<Listing, Failure> {
    let ask = async |have: usize, cursor: Option<String>| {
        let limit = extent.most.map_or(extent.page, |most| (most - have).min(extent.page));
        client.send(request().query("limit", Some(limit)).query("cursor", cursor)).await
    };
    let wants_more = |page: &Page| {
        let may_go_on = page.next.is_some() && extent.most.is_none_or(|most| page.items.len() < most);
        let is_there = page.items.last().map_or(Ok(false), |item| is_far_enough(item));
        is_there.map(|is_there| may_go_on && !is_there)
    };
    let answer = ask(0, None).await?;
    let mut whole: Page = answer.read()?;
    let mut json = answer.text;
    if wants_more(&whole)? {
        while wants_more(&whole)? {
            let page: Page = ask(whole.items.len(), whole.next.take()).await?.read()?;
            whole.items.extend(page.items);
            whole.next = page.next;
        }
        json = serde_json::to_string(&whole).map_err(|error| Failure::Io(error.to_string()))?;
    }
    Ok(Listing { json, items: whole.items, more: whole.next.is_some() })
}

/// The id that is meant: itself, or that of the living worker with this name.
pub(crate) async fn id_of<O: Clock + Ids>(client: &Client<'_, O>, named: &str) -> Result<String, Failure> {
    if named.parse::<WorkerId>().is_ok() {
        return Ok(named.to_owned());
    }
    by_name(client, named).await.map(|worker| worker.id)
}

/// The ids that are meant, in order.
pub(crate) async fn ids_of<O: Clock + Ids>(
    client: &Client<'_, O>,
    named: &[String],
) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for named in named {
        ids.push(id_of(client, named).await?);
    }
    Ok(ids)
}

/// The worker that is meant.
pub(crate) async fn worker_of<O: Clock + Ids>(
    client: &Client<'_, O>,
    named: &str,
) -> Result<Worker, Failure> {
    if named.parse::<WorkerId>().is_ok() {
        return client.send(Request::get(&["workers", named])).await?.read();
    }
    by_name(client, named).await
}

async fn by_name<O: Clock + Ids>(client: &Client<'_, O>, name: &str) -> Result<Worker, Failure> {
    let mut cursor = None;
    loop {
        let request = Request::get(&["workers"]).query("name", Some(name)).query("cursor", cursor.take());
        let mut page: Workers = client.send(request).await?.read()?;
        if let Some(found) = page.items.pop() {
            return Ok(found);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Err(Failure::NotFound(format!("there is no living worker called {name}")));
        }
    }
}

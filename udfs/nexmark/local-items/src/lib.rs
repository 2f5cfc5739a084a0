//! Nexmark q3: joins persons with the auctions they open. Either may come first; a pair is given when its second record comes.

use millstream_udf::prelude::*;

/// Somebody registers; the person is the key.
#[derive(Input)]
struct Person<'a> {
    name: &'a str,
    city: &'a str,
    state: &'a str,
}

/// An auction opens; its seller is the key.
#[derive(Input)]
struct Auction {
    id: i64,
}

/// An auction of a person.
#[derive(Output)]
struct Item<'a> {
    auction: i64,
    name: &'a str,
    city: &'a str,
    state: &'a str,
}

/// A person who has registered.
#[derive(Serialize, Deserialize)]
struct Registered {
    name: String,
    city: String,
    state: String,
}

/// What is kept of a person, for good.
#[derive(States)]
struct Seller {
    person: Value<Registered>,
    /// Auctions that came before their seller.
    auctions: List<i64>,
}

/// The UDF.
#[derive(Default)]
struct LocalItems;

#[udf(name = "nexmark-local-items", version = "1.0.0", state = Seller, outputs = Emit<Item<'static>>)]
impl LocalItems {
    #[input]
    fn persons(
        &self,
        person: Person<'_>,
        seller: &mut Seller,
        out: &mut Emit<Item<'static>>,
    ) -> Result<()> {
        ensure!(!seller.person.is_set(), "the person has registered before");
        let Person { name, city, state } = person;
        for auction in seller.auctions.iter() {
            out.emit(Item { auction, name, city, state });
        }
        seller.auctions.clear();
        let (name, city, state) = (name.into(), city.into(), state.into());
        seller.person.set(Registered { name, city, state });
        Ok(())
    }

    #[input]
    fn auctions(&self, auction: Auction, seller: &mut Seller, out: &mut Emit<Item<'static>>) {
        match seller.person.get() {
            Some(Registered { name, city, state }) => {
                out.emit(Item { auction: auction.id, name, city, state });
            }
            None => seller.auctions.push(&auction.id),
        }
    }
}

#[cfg(test)]
mod tests;

//! What every store must do, run against all of them.

use bytes::Bytes;

use super::{BlobError, BlobInfo, Blobs, Digest, JetStreamBlobs, MemoryBlobs, UrlBlobs};
use crate::Name;
use crate::server::{NatsServer, ServerOptions};

async fn suite(store: &dyn Blobs) {
    let folder = tempfile::tempdir().unwrap();
    let none = Digest::of(b"not there");
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.size(&none).await.unwrap(), None);
    assert!(
        matches!(store.get(&none).await, Err(BlobError::Missing { digest, .. }) if digest == none)
    );
    let path = folder.path().join("missing");
    assert!(matches!(store.get_file(&none, &path).await, Err(BlobError::Missing { .. })));
    store.delete(&none).await.unwrap();

    // Small, empty, and of several pieces; each put twice.
    let large: Bytes =
        (0..3_000_000_u32).map(|number| (number % 251) as u8).collect::<Vec<u8>>().into();
    let mut expected = Vec::new();
    for content in [Bytes::from_static(b"small"), Bytes::new(), large.clone()] {
        for _ in 0..2 {
            assert_eq!(store.put(content.clone()).await.unwrap(), Digest::of(&content));
        }
        let digest = Digest::of(&content);
        assert_eq!(store.size(&digest).await.unwrap(), Some(content.len() as u64));
        assert!(store.get(&digest).await.unwrap() == content);
        expected.push(digest);
    }
    expected.sort();
    assert_eq!(store.list().await.unwrap(), expected);

    // Files there and back.
    let source = folder.path().join("source");
    std::fs::write(&source, &large[1..]).unwrap();
    let info = BlobInfo::of_file(&source).await.unwrap();
    assert_eq!(info, BlobInfo { digest: Digest::of(&large[1..]), bytes: large.len() as u64 - 1 });
    for _ in 0..2 {
        store.put_file(&source, &info).await.unwrap();
        let target = folder.path().join("target");
        assert_eq!(store.get_file(&info.digest, &target).await.unwrap(), info);
        assert!(std::fs::read(&target).unwrap() == large[1..]);
    }
    let nothing = folder.path().join("nothing");
    assert!(matches!(BlobInfo::of_file(&nothing).await, Err(BlobError::File { .. })));
    let absent = BlobInfo { digest: Digest::of(b"absent"), bytes: 6 };
    assert!(matches!(store.put_file(&nothing, &absent).await, Err(BlobError::File { .. })));
    assert_eq!(store.size(&absent.digest).await.unwrap(), None);
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");

    let small = Digest::of(b"small");
    store.delete(&small).await.unwrap();
    assert_eq!(store.size(&small).await.unwrap(), None);
    assert!(matches!(store.get(&small).await, Err(BlobError::Missing { .. })));
    // Deleted content may come back.
    store.put(Bytes::from_static(b"small")).await.unwrap();
    assert_eq!(store.get(&small).await.unwrap(), "small");

    // Documents have a space of their own.
    assert_eq!(store.get_document("p/1.json").await.unwrap(), None);
    for name in ["p/1.json", "p/2.json", "q"] {
        store.put_document(name, name.to_owned().into()).await.unwrap();
    }
    store.put_document("p/1.json", Bytes::from_static(b"replaced")).await.unwrap();
    assert_eq!(store.get_document("p/1.json").await.unwrap().unwrap(), "replaced");
    assert_eq!(store.list_documents("p/").await.unwrap(), ["p/1.json", "p/2.json"]);
    assert_eq!(store.list_documents("").await.unwrap(), ["p/1.json", "p/2.json", "q"]);
    store.delete_document("p/1.json").await.unwrap();
    store.delete_document("p/1.json").await.unwrap();
    assert_eq!(store.list_documents("p").await.unwrap(), ["p/2.json"]);
    assert_eq!(store.list().await.unwrap().len(), 4);
    for bad in ["", "/a", "a/", "a//b", "..", "a/../b", ".", "a b", "ä"] {
        assert!(
            matches!(store.put_document(bad, Bytes::new()).await, Err(BlobError::Name { .. })),
            "{bad:?}"
        );
        assert!(matches!(store.get_document(bad).await, Err(BlobError::Name { .. })), "{bad:?}");
    }
}

#[tokio::test]
async fn memory() {
    suite(&MemoryBlobs::new()).await;
}

#[tokio::test]
async fn files() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/not/there/yet", folder.path().display());
    let store = UrlBlobs::open(&url).unwrap();
    suite(&store).await;

    // Damage is found, in memory and on the way to a file.
    let digest = store.put(Bytes::from_static(b"intact")).await.unwrap();
    std::fs::write(folder.path().join(format!("not/there/yet/blobs/{digest}")), b"damaged")
        .unwrap();
    let damaged = |error: BlobError| matches!(error, BlobError::Damaged { found, .. } if found == Digest::of(b"damaged"));
    assert!(damaged(store.get(&digest).await.unwrap_err()));
    let target = folder.path().join("target");
    assert!(damaged(store.get_file(&digest, &target).await.unwrap_err()));
    assert!(!target.exists());
}

/// With credentials in the environment, as for any store of this kind.
#[tokio::test]
#[ignore = "needs an empty bucket: MILLSTREAM_TEST_STORE=s3://bucket/folder"]
async fn cloud() {
    let url = std::env::var("MILLSTREAM_TEST_STORE").expect("MILLSTREAM_TEST_STORE is a URL");
    suite(&UrlBlobs::open(&url).unwrap()).await;
}

#[tokio::test]
async fn jetstream() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    suite(&JetStreamBlobs::open(&connection, &Name::new("modules").unwrap(), 1).await.unwrap())
        .await;
    // Opening again finds what is there.
    let again = JetStreamBlobs::open(&connection, &Name::new("modules").unwrap(), 1).await.unwrap();
    assert_eq!(again.list().await.unwrap().len(), 4);

    // Reading leaves no consumers, of which a server has only so many.
    let mut stream = connection.jetstream().get_stream("OBJ_modules").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.consumer_count, 0);
    // Pieces that are gone are not waited for.
    stream.purge().filter("$O.modules.C.>").await.unwrap();
    let incomplete = |error: BlobError| matches!(error, BlobError::Incomplete { .. });
    let digest = Digest::of(b"small");
    assert!(incomplete(again.get(&digest).await.unwrap_err()));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    assert!(incomplete(again.get_file(&digest, &target).await.unwrap_err()));
    assert!(incomplete(again.get_document("q").await.unwrap_err()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn urls_that_cannot_be_used_are_named_without_their_secrets() {
    let error = UrlBlobs::open("ftp://joe:pw@host/x").err().unwrap().to_string();
    assert!(error.contains("ftp://host/x") && !error.contains("pw"), "{error}");
    assert!(UrlBlobs::open("no url").is_err());
}

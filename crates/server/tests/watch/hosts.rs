//! Machines outside Kubernetes beside a live cluster.

use ringfence_kube::record::host as record;
use ringfence_model::object::Host;
use ringfence_model::resolve::Resolver as _;
use ringfence_model::{Labels, Origin, Timestamp};
use ringfence_testkit::ApiServer;

use crate::lab::{Lab, Outcome, SOON};
use crate::objects::web;

#[tokio::test(flavor = "multi_thread")]
async fn a_described_host_shows_in_a_live_cluster() -> Outcome {
    let server = ApiServer::start().await?;
    server.apply(web("web-1", "10.0.0.1"));
    let lab = Lab::new(&[("c", &server)]).await?;
    lab.synced("c").await?;
    let mut host = Host {
        name: "mail".parse()?,
        labels: Labels::from_iter([("site", "east")]),
        addresses: vec!["198.51.100.5".parse()?],
        system: None,
        origin: Origin::default(),
    };
    let cluster = lab.cluster("c")?;
    for address in ["198.51.100.5", "198.51.100.6"] {
        host.addresses = vec![address.parse()?];
        cluster.describe(record(&host));
        lab.until("c", SOON, "the host", |view| {
            view.inventory.host(&host.name).is_some_and(|known| known.addresses == host.addresses)
        })
        .await?;
    }
    let peer = |ip: &str| -> Outcome<String> {
        Ok(cluster.view().inventory.resolve(ip.parse()?, Timestamp::MAX, None).peer.to_string())
    };
    assert_eq!(peer("198.51.100.6")?, "Host/mail");
    assert_eq!(peer("198.51.100.5")?, "198.51.100.5");
    assert_eq!(peer("10.0.0.1")?, "shop/ReplicaSet/web-1");
    lab.end().await;
    Ok(())
}

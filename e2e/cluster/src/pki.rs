//! Certificates and kubeconfigs, by the openssl command: a certificate authority that lives as long as the cluster.
use std::{path::Path, process::Command, time::Duration};

use crate::{Result, command, layout, layout::Layout, sandbox::NODE_ADDRESS};

const OPENSSL_LIMIT: Duration = Duration::from_secs(60);
const DAYS: &str = "365";

/// A client or server of the API, and how its certificate names it.
struct Identity {
    file: &'static str,
    /// In openssl's form. The audit log shows the common name as the user.
    subject: &'static str,
    /// Names it serves under.
    names: &'static str,
}

const fn client(file: &'static str, subject: &'static str) -> Identity {
    Identity {
        file,
        subject,
        names: "",
    }
}

/// Those that get a kubeconfig as well.
const CLIENTS: [Identity; 6] = [
    client("admin", "/O=system:masters/CN=admin"),
    client(
        "kube-controller-manager",
        "/CN=system:kube-controller-manager",
    ),
    client("kube-scheduler", "/CN=system:kube-scheduler"),
    client("kube-proxy", "/CN=system:kube-proxy"),
    // These two run on the host with full rights; names of their own keep the audit log readable.
    client("coredns", "/O=system:masters/CN=coredns"),
    client("metrics-server", "/O=system:masters/CN=metrics-server"),
];

const KUBELET: Identity = Identity {
    file: "kubelet",
    subject: "/O=system:nodes/CN=system:node:node-1",
    names: "DNS:node-1,IP:10.200.0.1,IP:127.0.0.1",
};

const SERVERS: [Identity; 3] = [
    Identity {
        file: "kube-apiserver",
        subject: "/O=system:masters/CN=kube-apiserver",
        names: "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,\
                DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:10.200.0.1",
    },
    client("front-proxy", "/CN=front-proxy-client"),
    KUBELET,
];

/// Makes everything under `pki/` and the kubeconfigs.
pub(crate) fn create(layout: &Layout) -> Result<()> {
    let pki = layout.pki();
    layout::create_dir(&pki)?;
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let mut ca = vec![
        "req",
        "-x509",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-subj",
        "/CN=serin-cluster-ca",
        "-days",
        DAYS,
    ];
    ca.extend(key);
    openssl(&pki, &ca)?;
    openssl(
        &pki,
        &[
            "ecparam",
            "-genkey",
            "-name",
            "prime256v1",
            "-noout",
            "-out",
            "sa.key",
        ],
    )?;
    openssl(&pki, &["ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"])?;
    for Identity {
        file,
        subject,
        names,
    } in CLIENTS.iter().chain(&SERVERS)
    {
        let [request, certificate, private, extensions] =
            ["csr", "crt", "key", "ext"].map(|kind| format!("{file}.{kind}"));
        let names = if names.is_empty() {
            String::new()
        } else {
            format!("subjectAltName={names}\n")
        };
        layout::write(
            &pki.join(&extensions),
            format!(
                "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n{names}"
            ),
        )?;
        let mut ask = vec![
            "req", "-keyout", &private, "-out", &request, "-subj", subject,
        ];
        ask.extend(key);
        openssl(&pki, &ask)?;
        openssl(
            &pki,
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                &certificate,
                "-days",
                DAYS,
                "-extfile",
                &extensions,
            ],
        )?;
    }
    for Identity { file, .. } in CLIENTS.iter().chain([&KUBELET]) {
        layout::write(&layout.kubeconfig(file), kubeconfig(&pki, file))?;
    }
    Ok(())
}

fn openssl(pki: &Path, arguments: &[&str]) -> Result<()> {
    command::output(
        Command::new("openssl").current_dir(pki).args(arguments),
        OPENSSL_LIMIT,
    )
    .map(drop)
}

/// From the machine's own network the address is nobody's: the file is for programs inside the cluster's.
fn kubeconfig(pki: &Path, user: &str) -> String {
    let pki = pki.display();
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: serin, cluster: {{server: 'https://{NODE_ADDRESS}:6443', certificate-authority: {pki}/ca.crt}}}}]
users: [{{name: {user}, user: {{client-certificate: {pki}/{user}.crt, client-key: {pki}/{user}.key}}}}]
contexts: [{{name: serin, context: {{cluster: serin, user: {user}}}}}]
current-context: serin
"
    )
}

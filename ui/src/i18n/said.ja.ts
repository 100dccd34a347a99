import type { Values } from "../domain/said.ts";
import type { Sentences } from "./said.ts";

const place = ({ file, line }: Values) => (line === undefined ? `${file}` : `${file}:${line}`);
const RULES: Readonly<Partial<Record<string, string>>> = {
  Observed: "観測された接続を許可",
  BlockAll: "すべて遮断",
  AllowNamespace: "名前空間内をすべて許可",
  AllowAll: "すべて許可",
  Unmanaged: "管理しない",
};
const way = ({ direction = "" }: Values) =>
  ({ ingress: "受信", egress: "送信" })[direction.toLowerCase()] ?? direction;
const label = ({ key, value }: Values) => (value === undefined ? `${key} なし` : `${key}=${value}`);
const labels = ({ set, remove }: Values) =>
  [set && `ラベル ${set} を設定`, remove && `ラベル ${remove} を削除`].filter(Boolean).join("、");
/** Of the policy's own rule that a finding is about. */
const rule = (values: Values) => (values.rule === undefined ? "" : `${way(values)}ルール ${values.rule}: `);
/** Why an observer lost something. */
const LOST: Readonly<Partial<Record<string, string>>> = {
  "map-full": "カーネルの表が満杯",
  "events-lost": "カーネルのイベントが失われた",
  unattributed: "どの Pod のものか不明",
  "spool-full": "サーバーが長時間受け取らなかった",
  "probe-refused": "カーネルがプローブを拒否",
  other: "理由は不明",
};
const none = () => null;

/** What the server says, in Japanese. */
export const said: Sentences = {
  reason: {
    observed: () => "観測された",
    included: (v) => `手動で許可（${place(v)}）`,
    "cidr-rule": (v) => `CIDR ルール（${place(v)}）`,
    "general-rule": (v) => `基本ルール「${RULES[v.rule ?? ""] ?? v.rule}」`,
    "name-resolution": () => "名前解決",
    "own-node-probe": () => "Pod と同じノードから（プローブ）",
    "own-node": () => "Pod と同じノードから",
    "direction-not-managed": () => "この方向は管理しない",
    excluded: (v) => `手動で禁止（${place(v)}）`,
    "never-accepted": () => "すべての試行が拒否された",
    "unresolved-address": () => "未解決のアドレス",
    "no-stable-label": () => "相手の Pod に、更新後も残るラベルがない",
    "host-network": () => "相手の Pod はホストネットワークを使う",
    "namespace-without-labels": (v) => `名前空間 ${v.namespace} にラベル ${v.keys} がない`,
    "not-in-input": () => "相手がクラスターの入力にない",
    "addresses-not-known": () => "このホストだけのアドレスが不明",
    "other-end": () => "相手側のポリシーが禁止",
    icmp: () => "NetworkPolicy は ICMP を扱わない",
  },
  gap: {
    "nothing-observed": () => "接続が観測されていません",
    "window-short": (v) => `フローの期間が ${v.hours} 時間未満です`,
    "did-not-run": (v) =>
      v.schedule === undefined
        ? "期間中に実行されていません"
        : `期間中に実行されていません（スケジュール ${v.schedule}）`,
    "service-port-unused": (v) => `Service のポート ${v.port} は使われていません`,
    "no-observer": (v) => `${v.from} から ${v.until} までノード ${v.node} に観測者がいませんでした`,
    "observer-blind": (v) => `ノード ${v.node} の観測者には次のものが見えません: ${v.what}`,
    "observer-lost": (v) =>
      `ノード ${v.node} の観測者が ${v.from} から ${v.until} の間に ${v.count} 件を失いました: ${LOST[v.why ?? ""] ?? v.why}`,
  },
  verdict: {
    "not-subject": () => "この端にはポリシーが適用されません",
    "not-isolated": () => "隔離するポリシーがありません",
    "own-node": () => "Pod と同じノードからは常に許可されます",
    "self-traffic": () => "Pod は自分自身に常に到達できます",
    allowed: () => "次により許可:",
    "cluster-accepted": () => "クラスター全体のポリシーにより許可:",
    "cluster-denied": () => "クラスター全体のポリシーにより拒否:",
    denied: () => "拒否: 次のポリシーにより隔離され、一致するルールがありません",
  },
  lack: {
    "pod-label": (v) => `podSelector には ${v.needed} が必要ですが、Pod ${v.pod} は ${label(v)} です`,
    "namespace-label": (v) =>
      `namespaceSelector には ${v.needed} が必要ですが、名前空間 ${v.namespace} は ${label(v)} です`,
    "other-namespace": (v) =>
      `namespaceSelector のない podSelector は名前空間 ${v.needed} の Pod を指し、Pod ${v.pod} の名前空間ではありません`,
    "not-a-pod": (v) => `セレクターは Pod に一致しますが、${v.address} は Pod ではありません`,
    "host-network-pod": (v) => `セレクターは ${v.pod} のようなホストネットワークの Pod を無視します`,
    "outside-block": (v) => `アドレスは ipBlock ${v.cidr} の外です`,
    excepted: (v) => `ipBlock ${v.cidr} は ${v.except} を除外しています`,
    "ignored-by-blocks": (v) =>
      `ipBlock ${v.cidr} はこのアドレスを含みますが、このプラグインでは一致しません`,
    protocol: (v) => `プロトコル ${v.needed} が必要ですが、接続は ${v.found} です`,
    port: (v) => `ポート ${v.needed} が必要ですが、接続先は ${v.found} です`,
    "port-name": (v) =>
      v.numbers === undefined
        ? `ポート ${v.needed} は接続先で宣言されていません。接続先は ${v.found} です`
        : `ポート ${v.needed} は ${v.numbers} ですが、接続先は ${v.found} です`,
  },
  remedy: {
    "label-pods": (v) => `${v.workloads} の Pod に${labels(v)}`,
    "label-namespace": (v) => `名前空間 ${v.namespace} に${labels(v)}`,
    "add-ingress-rule": (v) =>
      `NetworkPolicy ${v.policy}（${place(v)}）に受信ルールを追加: ${v.peers} から ${v.ports}`,
    "add-egress-rule": (v) =>
      `NetworkPolicy ${v.policy}（${place(v)}）に送信ルールを追加: ${v.peers} へ ${v.ports}`,
  },
  assumption: {
    "blocks-match-pods": () => "ipBlock は Pod のアドレスに一致する",
    "blocks-ignore-pods": () => "ipBlock は Pod に一致しない",
    "blocks-match-nodes": () => "ipBlock はノードのアドレスに一致する",
    "blocks-ignore-nodes": () => "ipBlock はノードに一致しない",
    "host-network-is-node": () => "ホストネットワークの Pod はノードのアドレスとみなす",
    "host-network-is-pod": () => "ホストネットワークの Pod もほかの Pod と同じとみなす",
    "hairpin-allowed": () => "Pod は自分自身に常に到達できる",
    "hairpin-judged": () => "Pod から自分自身への接続もポリシーで判定する",
    "end-port-enforced": () => "endPort は有効",
    "end-port-ignored": () => "endPort は無視される",
    "unknown-peer-fails-closed": () => "未知の種類の相手は何も許可せず、すべて拒否する",
    "address-not-known": () =>
      "Pod のアドレスが不明: それを含みうるネットワークのルールは拒否し、許可はしない",
    "domain-names-match-nothing": () => "ドメイン名は解決されず、何にも一致しない",
  },
  flaw: {
    miscounted: (v) => `${v.meant} 個のポリシーを意図しましたが、${v.read} 個が読み戻されました`,
    "written-otherwise": () => "書き出したポリシーが意図したものと異なります",
    "kept-is-cut": () => "残すはずの観測された接続が遮断されます",
    "cut-passes": () => "禁止すべき接続が通ります",
    "need-is-cut": (v) => `${v.need} との${way(v)}が遮断されます`,
    "names-unresolved": () =>
      "観測された名前解決が遮断されます。クラスターの DNS の Service と Pod を入力に加えるか、そのアドレスをレビューで許可してください",
    "idle-peer": (v) => `${way(v)}ルール ${v.rule} の相手を一つ削除しても、必要な接続はすべて通ります`,
    "idle-port": (v) => `${way(v)}ルール ${v.rule} のポートを一つ削除しても、必要な接続はすべて通ります`,
  },
  change: {
    "general-rule": (v) => `${way(v)}の基本ルール: ${RULES[v.rule ?? ""] ?? v.rule}`,
    "workload-rule": (v) =>
      v.rule === undefined
        ? `${v.workload} の${way(v)}: 基本ルールに従う`
        : `${v.workload} の${way(v)}: ${RULES[v.rule] ?? v.rule}`,
    "edge-included": (v) => `許可: ${v.edge}`,
    "edge-excluded": (v) => `禁止: ${v.edge}`,
    "decision-cleared": (v) => `決定を取り消し: ${v.edge}`,
    "cidr-rule-added": (v) => `${way(v)}の範囲を追加: ${v.cidr}`,
    "cidr-rule-removed": (v) => `${way(v)}の範囲を削除: ${v.cidr}`,
    "alias-set": (v) => `別名を設定: ${v.alias}`,
    "alias-removed": (v) => `別名を削除: ${v.alias}`,
    labels: () => "セレクターのラベルを変更",
    ranges: () => "クラスターの範囲を変更",
  },
  message: {
    "allows-everything": (v) => `${rule(v)}相手もポートもないため、すべてを許可します`,
    "bad-json": (_, english) => `JSON を読めません: ${english}`,
    "bad-object": (_, english) => `オブジェクトが正しくありません: ${english}`,
    "bad-review": (_, english) => `レビューが正しくありません: ${english}`,
    "bad-yaml": (_, english) => `YAML を読めません: ${english}`,
    "block-holds-pods": (v) => `${rule(v)}ipBlock ${v.block} は ${v.address} などの Pod のアドレスを含みます`,
    "cluster-cidr-invalid": (v) => `Pod ${v.pod} の引数の範囲が正しくありません: ${v.why}`,
    "cluster-subnet-incomplete": (v) => `クラスターのサブネットが不完全です: ${v.reasons}`,
    "configuration-unread": (_, english) => `クラスターの設定を読めません: ${english}`,
    "connections-forgotten": () =>
      "メモリーを抑えるため、一部の接続を忘れました。続いていた接続は 2 回数えられます",
    "covered-rule": (v) =>
      `${rule(v)}現在の Pod では、NetworkPolicy ${v.other} がすでにすべてを許可しています`,
    "domain-names-not-judged": () => "ドメイン名を許可していますが、ここでは解決されず、何にも一致しません",
    "duplicate-address": (v) => `アドレス ${v.address} は Pod ${v.other} も持っています`,
    "duplicate-object": () => "別の場所に内容の異なる同じオブジェクトがあります。こちらを使います",
    "duplicate-policy": (v) => `${v.other} にもあります。別の名前のポリシーとして扱います`,
    "egress-before-translation": () => "このプラグインは、Service のアドレスへの変換前に送信を判定します",
    "end-port-ignored": (v) => `${rule(v)}ポート ${v.ports} のうち ${v.first} だけが許可されます`,
    "equal-priority": () => "優先度の等しいクラスター全体のポリシーがあり、順序が定まりません",
    "exclusion-contradicts-rule": (v) =>
      `${v.edge} は禁止されていますが、${v.workload} の${way(v)}の基本ルールがそれを許可しています`,
    "history-lost": () => "クラスターの変更の一部を保存できませんでした",
    "history-not-stored": () => "現在、クラスターの変更を保存できません",
    "history-unread": (_, english) => `クラスターの履歴を読めません: ${english}`,
    "host-address-shared": () => "アドレスが 2 つのホストにあるため、どちらのものでもないとみなします",
    "host-addresses": (v) => `${way(v)}ルールは Kubernetes 外のマシンをアドレスで指します`,
    "icmp-unknown": (v) => `NetworkPolicy で扱えない ICMP のエッジが ${v.edges} 件観測されました`,
    "kinds-ignored": (v, english) =>
      v.kind === undefined
        ? `不要なため除外しました: ${english}`
        : `${v.kind} ${v.count} 件を除外しました。ここでは NetworkPolicy だけを判定します`,
    "lost-events": () => "観測元でイベントが失われました。エッジが欠けている可能性があります",
    "malformed-flow": () => "読めない行を飛ばしました",
    "more-findings": () => "ほかにもオブジェクトに関する指摘があります",
    "namespace-missing": (v) => `名前空間 ${v.namespace} が入力にありません`,
    "namespace-not-described": (v) => `名前空間そのものが入力にありません: ${v.namespaces}`,
    "namespaces-without-labels": (v) => `ラベルのない名前空間: ${v.namespaces}（${v.keys}）`,
    "no-direction": () => "policyTypes に Ingress も Egress もありません",
    "no-dns": () => "一部の Pod は UDP で DNS に問い合わせできません",
    "no-dns-found": () => "クラスターの DNS が見つかりません",
    "no-dns-over-tcp": () => "一部の Pod は UDP でしか DNS に問い合わせできません",
    "no-flows": () => "フローが観測されていません",
    "no-manifests": () => "マニフェストが見つかりません",
    "node-address-shared": (v) => `${v.address} はノード ${v.node} と ${v.other} の両方のアドレスです`,
    "node-addresses": (v) => `${way(v)}ルールはノードとホストネットワークの Pod をアドレスで指します`,
    "node-local-dns-address-unknown": () => "NodeLocal DNS のアドレスが不明です",
    "node-without-pod-cidrs": (v) => `${v.count} 個のノードに spec.podCIDRs がありません: ${v.nodes}`,
    "not-an-object": (_, english) => `Kubernetes のオブジェクトではありません: ${english}`,
    "object-repeated": (v) => `${v.count} 個のオブジェクトが複数回読まれました。最後のものを使います`,
    "open-to-all": (v) => `${rule(v)}相手がないため、クラスター外も含めて誰でも許可します`,
    "oversized-flow": () => "長すぎる行を飛ばしました",
    "owner-missing": (v) => `Pod の所有者が入力にありません: ${v.owners}`,
    "peer-matches-nothing": (v) => `${rule(v)}項目 ${v.entry}（${v.pods}）に一致する Pod はありません`,
    "peer-not-selectable": (v, english) =>
      v.peer === undefined
        ? `許可した接続の一方の端を選択できないため、禁止のままです: ${english}`
        : `${v.peer} との ${v.edges} 件のエッジは禁止されます: ${v.why}`,
    "pod-address-overlap": (v) => `${v.address} は実行中の 2 つの Pod、${v.pod} と ${v.other} のアドレスです`,
    "pod-addresses-unknown": () => "Pod のアドレスの範囲が不明なため、範囲のルールを正しく判定できません",
    "review-entry-matches-nothing": (_, english) => `レビューの項目が何にも一致しません: ${english}`,
    "rules-without-type": () => "ルールがありますが、policyTypes にその方向がないため効果がありません",
    "selector-shared": (v) => `${v.workload} のポリシーは ${v.others} の Pod も選択します`,
    "selects-nothing": (v) => `podSelector ${v.pods} に一致する Pod がありません`,
    "service-selects-nothing": (v) =>
      `Service ${v.service} のセレクター ${v.selector} に一致する Pod がありません`,
    "shadowed-rule": (v) => `${rule(v)}現在の Pod では、ルール ${v.other} がすでにすべてを許可しています`,
    "slice-of-names": () => "EndpointSlice はホスト名を持ち、ここでは解決されません",
    "slice-without-service": () => "EndpointSlice にラベルがなく、どの Service にも属しません",
    "split-selectors": (v) =>
      `${rule(v)}名前空間 ${v.namespaces} のすべての Pod と、それとは別に Pod ${v.pods} を許可します`,
    "unknown-peer": () => "未知の種類の相手があるため、このルールは安全側に判定されます",
    "unknown-port-name": (v) => `${rule(v)}${v.protocol} のポート ${v.name} を宣言する接続先がありません`,
    "unknown-probe-port": () => "プローブのポート名が宣言されていません",
    "unread-policies": (_, english) => `読めない種類のポリシーがあります: ${english}`,
    unreadable: (_, english) => `読めません: ${english}`,
    "unresolved-left-out": (v) => `未解決のアドレス ${v.count} 件との通信は禁止されます: ${v.addresses}`,
    "window-short": (v) => `フローの期間は ${v.hours} 時間だけです`,
    "workload-not-selectable": (v) => `${v.workload} のポリシーは書けませんでした: ${v.why}`,
  },
  hint: {
    "allows-everything": () => "何も通さない場合は、空のルールではなく空のルール一覧を書いてください。",
    "bad-json": none,
    "bad-object": (_, english) => english,
    "bad-review": (_, english) => english,
    "bad-yaml": none,
    "block-holds-pods": () => "Pod には podSelector と namespaceSelector を使ってください。",
    "cluster-cidr-invalid": none,
    "cluster-subnet-incomplete": () =>
      "ノードと kube-apiserver、kube-controller-manager の Pod を読めるようにするか、設定で範囲を指定してください。",
    "configuration-unread": none,
    "connections-forgotten": none,
    "covered-rule": () => "どちらか一方を削除してください。",
    "domain-names-not-judged": () => "その名前のアドレスへの接続は許可されるものと考えてください。",
    "duplicate-address": () => "異なる時点のオブジェクトです。一度にまとめて読み直してください。",
    "duplicate-object": () => "同じ時点、同じクラスターのファイルだけを渡してください。",
    "duplicate-policy": () => "一方を除くか、名前を変えてください。",
    "egress-before-translation": () =>
      "ワークロードが接続する Service のアドレスとポートを CIDR ルールで許可してください。",
    "end-port-ignored": () => "ポートを一つずつ書いてください。",
    "equal-priority": () => "異なる優先度を付けてください。",
    "exclusion-contradicts-rule": () =>
      "NetworkPolicy は許可しかできません。基本ルールを「観測された接続を許可」にしてください。",
    "history-lost": () => "その時間のフローは解決できないことがあります。サーバーを再起動してください。",
    "history-not-stored": () => "メモリーで待機中です。ディスクの空きを確認してください。",
    "history-unread": none,
    "host-address-shared": none,
    "host-addresses": () => "そのマシンのアドレスが変わったら、生成し直してください。",
    "icmp-unknown": () => "ping の可否はプラグインによって異なります。事前に試してください。",
    "kinds-ignored": none,
    "lost-events": () => "より長く観測するか、観測元のバッファーを大きくしてください。",
    "malformed-flow": none,
    "more-findings": none,
    "namespace-missing": () => "名前空間のオブジェクトを入力に加えてください。",
    "namespace-not-described": () => "kubectl get namespaces -o yaml の出力を加えてください。",
    "namespaces-without-labels": () =>
      "名前空間にラベルを付けるか、設定で名前空間を選ぶラベルを変更してください。",
    "no-direction": () => "policyTypes を省くか、隔離する方向を書いてください。",
    "no-dns": () => "DNS の Pod への送信を UDP と TCP で許可してください。",
    "no-dns-found": () => "DNS の Service と Pod をクラスターの入力に加えてください。",
    "no-dns-over-tcp": () => "UDP のほかに TCP も許可してください。",
    "no-flows": () => "フローログと期間を確認してください。",
    "no-manifests": none,
    "node-address-shared": () => "同じ時点、同じクラスターのオブジェクトを使ってください。",
    "node-addresses": () => "ノードのアドレスが変わったら、生成し直してください。",
    "node-local-dns-address-unknown": () => "そのアドレスを CIDR ルールで許可してください。",
    "node-without-pod-cidrs": () => "設定で Pod の範囲を指定してください。",
    "not-an-object": none,
    "object-repeated": none,
    "open-to-all": () => "誰を指すかを書いてください。",
    "oversized-flow": none,
    "owner-missing": () => "所有者のオブジェクトも入力に加えてください。",
    "peer-matches-nothing": () => "対象の Pod と名前空間のラベルと比べてください。",
    "peer-not-selectable": () => "マニフェストやラベルを加えるか、アドレスを CIDR ルールで許可してください。",
    "pod-address-overlap": () => "同じ時点の、一つのクラスターのオブジェクトを使ってください。",
    "pod-addresses-unknown": () => "設定で Pod の範囲を指定するか、ノードと Pod を加えてください。",
    "review-entry-matches-nothing": (_, english) => english,
    "rules-without-type": () => "policyTypes に方向を加えるか、ルールを削除してください。",
    "selector-shared": () => "ワークロードごとに固有のラベルを付けるか、区別できるラベルを含めてください。",
    "selects-nothing": () => "Pod のラベルと比べてください。",
    "service-selects-nothing": () => "同じ名前空間にある対象の Pod のラベルと比べてください。",
    "shadowed-rule": () => "削除するか、広すぎる場合はもう一方のルールを狭くしてください。",
    "slice-of-names": none,
    "slice-without-service": none,
    "split-selectors": () =>
      "これらの名前空間のこれらの Pod だけを指す場合は、podSelector を namespaceSelector と同じ項目に（ダッシュなしで）書いてください。",
    "unknown-peer": () => "この種類を扱えるバージョンを使うか、綴りを確認してください。",
    "unknown-port-name": () => "名前はコンテナーのポートのものです。または番号を使ってください。",
    "unknown-probe-port": none,
    "unread-policies": none,
    unreadable: none,
    "unresolved-left-out": () =>
      "通すには、その接続を許可するか、許可した別名を付けるか、CIDR ルールを書いてください。",
    "window-short": () => "適用前に 1 日、できれば 1 週間観測してください。",
    "workload-not-selectable": () => "ワークロードの Pod に固有のラベルを付けてください。",
  },
};

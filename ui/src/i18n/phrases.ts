type Language = "en" | "ja";
type Phrase = readonly [RegExp, (...parts: readonly string[]) => string];

/** What the server says in English words and always in the same way. What is not here stays English. */
const JA: readonly Phrase[] = [
  [/^observed$/, () => "観測された"],
  [/^name resolution$/, () => "名前解決"],
  [/^included at (.+)$/, (at) => `手動で許可（${at}）`],
  [/^excluded at (.+)$/, (at) => `手動で禁止（${at}）`],
  [/^CIDR rule at (.+)$/, (at) => `CIDR ルール（${at}）`],
  [/^general rule (\w+)$/, (rule) => `基本ルール ${rule}`],
  [/^from the pod's own node, where probes come from$/, () => "Pod と同じノードから（プローブ）"],
  [/^from the pod's own node$/, () => "Pod と同じノードから"],
  [/^direction not managed$/, () => "この方向は管理しない"],
  [/^every attempt was denied or refused$/, () => "すべての試行が拒否された"],
  [/^unresolved address$/, () => "未解決のアドレス"],
  [/^the policy at the other end forbids it$/, () => "相手側のポリシーが禁止"],
  [/^NetworkPolicies do not name ICMP$/, () => "NetworkPolicy は ICMP を扱わない"],
  [/^no connection was observed$/, () => "接続が観測されていません"],
  [/^the flows cover less than (\d+) hours$/, (hours) => `フローの期間が ${hours} 時間未満です`],
  [
    /^it did not run in the window \(schedule (.+)\)$/,
    (at) => `期間中に実行されていません（スケジュール ${at}）`,
  ],
  [/^Service port (.+) was never used$/, (port) => `Service のポート ${port} は使われていません`],
  [/^policies do not apply to this end$/, () => "この端にはポリシーが適用されません"],
  [/^no policy isolates it$/, () => "隔離するポリシーがありません"],
  [/^always allowed from the pod's own node$/, () => "Pod と同じノードからは常に許可されます"],
  [/^a pod always reaches itself$/, () => "Pod は自分自身に常に到達できます"],
  [/^allowed by$/, () => "次により許可:"],
  [/^accepted by a cluster-wide policy$/, () => "クラスター全体のポリシーにより許可:"],
  [/^denied by a cluster-wide policy$/, () => "クラスター全体のポリシーにより拒否:"],
  [
    /^denied: isolated by these policies, and none of their rules matches$/,
    () => "拒否: 次のポリシーにより隔離され、一致するルールがありません",
  ],
];

/** A phrase of the server in a language. */
export function phrase(language: Language, text: string): string {
  if (language === "en") return text;
  for (const [pattern, say] of JA) {
    const found = pattern.exec(text);
    if (found) return say(...found.slice(1));
  }
  return text;
}

// What the API's words are called here, and times as people read them.

export const STATUS = {
  pending: { words: "Pending", icon: "wait", tone: "going" },
  provisioning: { words: "Provisioning", icon: "wait", tone: "going" },
  active: { words: "Active", icon: "check", tone: "fine" },
  failed: { words: "Failed", icon: "cross", tone: "bad" },
  suspended: { words: "Suspended", icon: "pause", tone: "idle" },
};

export const STEP = {
  not_started: { words: "Not started", icon: "dot", tone: "idle" },
  pending: { words: "Running", icon: "wait", tone: "going" },
  completed: { words: "Done", icon: "check", tone: "fine" },
  failed: { words: "Failed", icon: "cross", tone: "bad" },
};

export const USER = {
  not_started: { words: "Not started", icon: "dot", tone: "idle" },
  pending: { words: "Waiting", icon: "wait", tone: "going" },
  synced: { words: "Synced", icon: "check", tone: "fine" },
  failed: { words: "Failed", icon: "cross", tone: "bad" },
  revoked: { words: "No access", icon: "pause", tone: "idle" },
};

export const ROLES = { admin: "Administrator", tenant_admin: "Tenant administrator", member: "Member" };

export const REASONS = {
  explicit: "chosen",
  admin: "every administrator",
  tenant: "user of the tenant",
  creator: "creator",
  client: "client",
  owner: "owner",
};

export const CHANGES = {
  create_project: "make the cloud project",
  create_user: "make an account, unless there is one",
  grant_role: "grant the role",
  attach_policy: "attach the policy",
  issue_key: "issue a credential",
  revoke_role: "take the role away",
  detach_policy: "detach the policy",
  revoke_key: "revoke the old credential",
  look_for_keys: "look for stray credentials",
  revoke_former_account: "end the former account's access",
};

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function at(time) {
  if (!time) return "–";
  const date = new Date(time);
  return Date.now() - date < 12 * 3600 * 1000 ? clock.format(date) : calendar.format(date);
}

export function since(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  return ago.format(Math.round(seconds / length), unit);
}

export function lasting(seconds) {
  if (seconds < 1) return "under a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

export function people(count) {
  return count === 1 ? "1 user" : `${count} users`;
}

export function initials(name) {
  return name.split(/\s+/).map((word) => word[0] ?? "").slice(0, 2).join("").toUpperCase();
}

// Choosing a tenant: from all of them, or, where one answer cannot have them all, from those that a search finds.

import { get, isAdmin, query } from "./api.js";
import { announce, h } from "./dom.js";
import { field, later, select } from "./parts.js";

const MOST = 1000;

// `elements` are the choice and the search that it may need, none where there is nothing to choose; `names` are by id.
export async function tenantChoice({ none, chosen = "", hint, signal }) {
  const look = (search) => get(`/admin/v1/tenants${query({ search, per_page: MOST })}`, { signal });
  const { data, meta } = isAdmin() ? await look("") : { data: [], meta: { total: 0 } };
  const names = new Map();
  const control = select([]);
  const choice = field("Tenant", control, { hint });
  const search = h("input", { type: "search", placeholder: "Part of its name", autocomplete: "off" });

  // What is chosen stays, whether it was found or not.
  function offer(tenants, kept) {
    for (const { id, name } of tenants) names.set(String(id), name);
    const ids = new Set([kept, ...tenants.map(({ id }) => String(id))].filter(Boolean));
    const options = [...ids].map((id) => [id, names.get(id) ?? `Tenant ${id}`]);
    control.replaceChildren(...select([["", none], ...options]).children);
    control.value = kept;
  }

  search.addEventListener(
    "input",
    later(async (isLatest) => {
      const found = await look(search.value.trim()).catch(() => null);
      if (!found || !isLatest()) return;
      offer(found.data, control.value);
      announce(`${found.meta.total} found`);
    }),
  );
  offer(data, chosen);
  const elements = [meta.total > data.length && field("Find a tenant", search).element, choice.element];
  return { ...choice, names, elements: data.length ? elements : [] };
}

{#- The columns of a model whose columns are themselves an answer. -#}
select {{ all_but(ref('by_kind'), ['n']) }}, '{{ adapter.get_columns_in_relation(ref("by_kind")) | map(attribute="dtype") | join(" ") }}' as types
from {{ ref('by_kind') }}

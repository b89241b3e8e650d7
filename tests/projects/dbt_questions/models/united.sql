{%- for relation in relations_like('raw\\_%') %}
select '{{ relation.name }}' as origin, {{ all_but(relation, ['amount', 'note']) }} from {{ relation }}
{%- if not loop.last %} union all {% endif -%}
{%- endfor %}

{% macro cents(column, factor=100) -%}
  cast({{ column }} * {{ factor }} as bigint)
{%- endmacro %}

{% macro counts(relations) %}
{%- for relation in relations %}
select '{{ relation.identifier }}' as relation, count(*) as n from {{ relation }}
{%- if not loop.last %} union all {% endif -%}
{%- endfor %}
{% endmacro %}

{% macro letters() %}{{ return(['a', 'b', 'c']) }}{% endmacro %}

{% macro plus(x) %}({{ caller() }} + {{ x }}){% endmacro %}

{% test between(model, column_name, low, high=100) %}
select * from {{ model }} where {{ column_name }} < {{ low }} or {{ column_name }} > {{ high }}
{% endtest %}

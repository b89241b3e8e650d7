{% macro flavour() %}{{ return(adapter.dispatch('flavour', 'dates')()) }}{% endmacro %}
{% macro default__flavour() %}default{% endmacro %}
{% macro postgres__flavour() %}postgres{% endmacro %}
{% macro duckdb__flavour() %}duckdb{% endmacro %}

{% macro nearest() %}{{ return(adapter.dispatch('nearest', 'dates')()) }}{% endmacro %}
{% macro bigquery__nearest() %}bigquery{% endmacro %}
{% macro default__nearest() %}default{% endmacro %}
{% macro postgres__nearest() %}postgres{% endmacro %}

{% macro ours() %}{{ return(adapter.dispatch('ours', 'dates')()) }}{% endmacro %}
{% macro duckdb__ours() %}duckdb{% endmacro %}
{% macro kinfold__ours() %}{{ inner() }}{% endmacro %}

{#- A bare name is looked for in the package of the macro first. -#}
{% macro inner() %}dates{% endmacro %}

{% macro columns_of(names) %}
  {%- set found = {} -%}
  {%- for name in names -%}
    {%- do found.update({name: name | upper}) -%}
  {%- endfor -%}
  {{ return(found) }}
{% endmacro %}

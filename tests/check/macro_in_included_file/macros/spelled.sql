{% macro spelled(column) -%}
    {% include 'macros/parts/spelling.sql' %}
{%- endmacro %}

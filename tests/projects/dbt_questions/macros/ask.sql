{#- The distinct values of a column, from the lake. -#}
{% macro values_of(relation, column) %}
  {%- if not execute -%}{{ return([]) }}{%- endif -%}
  {%- call statement('values_of', fetch_result=true) -%}
    select {{ column }} as value from {{ relation }} group by {{ column }} order by {{ column }}
  {%- endcall -%}
  {{ return(load_result('values_of')['data'] | map(attribute=0) | list) }}
{% endmacro %}

{#- All columns but some, from the compiled plans. -#}
{% macro all_but(relation, except=[]) -%}
  {%- set names = [] -%}
  {%- for column in adapter.get_columns_in_relation(relation) if column.name not in except -%}
    {%- do names.append(adapter.quote(column.name)) -%}
  {%- endfor -%}
  {{ names | join(', ') }}
{%- endmacro %}

{#- The tables whose names are like a pattern. -#}
{% macro relations_like(pattern) %}
  {%- set found = [] -%}
  {%- if execute -%}
    {%- set rows = run_query("select table_schema, table_name from " ~ database ~ ".information_schema.tables where table_name like '" ~ pattern ~ "' order by table_name") -%}
    {%- for row in rows -%}
      {%- do found.append(api.Relation.create(database=database, schema=row.table_schema, identifier=row.table_name)) -%}
    {%- endfor -%}
  {%- endif -%}
  {{ return(found) }}
{% endmacro %}

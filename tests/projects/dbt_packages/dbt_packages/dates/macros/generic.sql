{% test holds(model, expression, column_name=none) %}
  {{ return(adapter.dispatch('test_holds', 'dates')(model, expression, column_name)) }}
{% endtest %}

{% macro default__test_holds(model, expression, column_name) %}
select * from {{ model }} where not ({{ column_name if column_name else '' }} {{ expression }})
{% endmacro %}

{% macro test_older(model, column_name) %} select 1 where false {% endmacro %}

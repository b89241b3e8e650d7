{% test within(model, column_name=none, low=0, high=1, opts={}, items=[], note='') %}
select * from {{ model }} where false
{% endtest %}
{% test nothing(model) %} select * from {{ model }} where false {% endtest %}

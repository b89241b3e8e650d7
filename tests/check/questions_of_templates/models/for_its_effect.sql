{% call statement('drop') %}drop table x{% endcall %}
select 1 as id

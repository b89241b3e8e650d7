-- name: expression_is_true
-- params: model (the tested relation), expression (SQL), column_name (what stands before it, if it is a
--         column's test)
-- invariant: one row for each row of which the expression is false; where it is null it holds
select *
from {{ model }}
where not ({% if column_name is defined %}{{ column_name }} {% endif %}{{ expression }})

{% set rows = run_query('select no_such_column from ' ~ ref('known')) %}
select {{ rows[0][0] }} as id

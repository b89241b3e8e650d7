with expected as (
    select * from (values
        (1, 'R163', 'RPRT', 'RPRT', 0.7778, 0.8, 0.5, 2, 0.6667, 2, 'robert', 'bob@example.com', '+442070313000', 'high', '12', 'SW1A1AA'),
        (2, 'S530', 'XMT', 'SMT', 0.7071, 0.7364, 0.7143, 4, 0.4286, 4, 'schmidt', null, '+12125550100', 'haupt', '5', '941031234'),
        (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)
    ) as t (id, sound, metaphone, alternate, jaro, jaro_winkler, jaccard, levenshtein, levenshtein_similarity, damerau,
        name, email, phone, street, house, postcode)
)
select f.*
from {{ ref('formed') }} as f
join expected as e on e.id = f.id
where (f.sound is distinct from e.sound)
    or (f.metaphone is distinct from e.metaphone)
    or (f.alternate is distinct from e.alternate)
    or (f.jaro is distinct from e.jaro)
    or (f.jaro_winkler is distinct from e.jaro_winkler)
    or (f.jaccard is distinct from e.jaccard)
    or (f.levenshtein is distinct from e.levenshtein)
    or (f.levenshtein_similarity is distinct from e.levenshtein_similarity)
    or (f.damerau is distinct from e.damerau)
    or (f.name is distinct from e.name)
    or (f.email is distinct from e.email)
    or (f.phone is distinct from e.phone)
    or (f.british is distinct from e.phone)
    or (f.street is distinct from e.street)
    or (f.house is distinct from e.house)
    or (f.postcode is distinct from e.postcode)

